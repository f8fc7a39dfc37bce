//! The compiler on small models that are written by code.

mod functions;
mod general;
mod heads;
mod pooling;
mod positions;
mod promise;
