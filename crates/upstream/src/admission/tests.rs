//! Threads and orders of events: nobody is lost, and no cap is passed.
