//! Files that ask for too much: what a reader spends is bounded by a base and by the file's length, whatever numbers stand
//! in the file.
//!
//! `named` holds the files that once took gigabytes, minutes or the stack; `grow` grows each repeated field of each kind
//! of file to its limit and sets numbers to their edges, keeping the rest of the file consistent with that. `graphs` makes
//! verifier files for any integer graphs, so that these grow too. The heap is counted by the allocator, time is that of the processor.

mod files;
mod graphs;
mod grow;
mod measure;
mod named;

#[global_allocator]
static HEAP: nanozk_tests::heap::Counting = nanozk_tests::heap::Counting;
