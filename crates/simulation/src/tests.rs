//! What must hold of any simulation, and what the algorithms must achieve in some.
