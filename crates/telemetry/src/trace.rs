//! Traces: the context of a request (W3C Trace Context), spans in the form of OTLP, and their export
//! over HTTP.
//!
//! A worker writes the spans of a sampled exchange as OTLP bytes into a block of its own and hands full
//! blocks to the [`Tracing`] of its snapshot, which never waits. One task of control, the exporter, puts
//! blocks together and posts them.

pub mod context;
pub mod export;
mod post;
mod protobuf;
pub mod queue;
pub mod sampling;
pub mod span;
pub mod state;

pub use context::{SpanId, TraceId, TraceParent};
pub use export::Exporting;
pub use queue::{Collector, ExportCounts, SpanBlock, Tracing, TracingSettings};
pub use sampling::Sampling;
