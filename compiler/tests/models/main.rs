//! The compiler on small models that are written by code.

mod functions;
mod general;
mod heads;
mod inconsistent;
mod indexed;
mod lengths;
mod masked;
mod pooling;
mod positions;
mod promise;
mod quotients;
mod trees;
mod weights;
