//! Hand-over to another process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::Api;
use crate::access::By;
use crate::problem::Problem;
use crate::sent::{Answer, Json, Sent};

/// How long a new process may take to be ready, unless it is said.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest that may be asked for.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// What the new process is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The program, by its absolute path; the one by whose path this process was started if left out. Only over the
    /// unix socket: the token lets nobody start programs.
    #[serde(default)]
    pub binary: Option<PathBuf>,
    /// The document that it is to run, by its absolute path; the one of this process if left out. Only over the unix
    /// socket.
    #[serde(default)]
    pub config: Option<PathBuf>,
    /// Milliseconds until it must be ready; 30000 if left out.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// A hand-over that has been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HandedOver {
    /// The process that serves now.
    pub pid: u32,
    /// The process that has answered, and finishes what it has begun.
    pub old_pid: u32,
}

/// Why there was no hand-over. The process goes on as if nothing had happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotHandedOver {
    /// It cannot be now, or never of this process.
    Conflict(String),
    /// The new process finds its document wrong.
    Document(String),
    /// The new process did not come to serve.
    Failed(String),
}

/// A hand-over that somebody asks for.
#[derive(Debug)]
pub struct Order {
    /// What the new process is to be.
    pub wanted: Wanted,
    /// Told what has come of it; nobody may be listening.
    pub answer: oneshot::Sender<Result<HandedOver, NotHandedOver>>,
}

/// Where orders go. One at a time is carried out.
pub type Orders = mpsc::Sender<Order>;

impl Wanted {
    /// How long the new process may take.
    pub fn timeout(&self) -> Duration {
        self.timeout_ms.map_or(TIMEOUT, Duration::from_millis).min(TIMEOUT_MAX)
    }
}

impl NotHandedOver {
    /// What is wrong, in words.
    pub fn text(&self) -> &str {
        match self {
            Self::Conflict(text) | Self::Document(text) | Self::Failed(text) => text,
        }
    }
}

impl From<NotHandedOver> for Problem {
    fn from(problem: NotHandedOver) -> Self {
        let status = match problem {
            NotHandedOver::Conflict(_) => StatusCode::CONFLICT,
            NotHandedOver::Document(_) => StatusCode::UNPROCESSABLE_ENTITY,
            NotHandedOver::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, problem.text())
    }
}

/// Hands over, and answers when the new process serves.
pub(crate) async fn hand_over(
    State(api): State<Arc<Api>>,
    Extension(by): Extension<By>,
    Sent(wanted): Sent<Wanted>,
) -> Answer<HandedOver> {
    if by == By::Network && (wanted.binary.is_some() || wanted.config.is_some()) {
        let detail = "which program and which document is for whoever may open the unix socket";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    for path in wanted.binary.iter().chain(&wanted.config) {
        if !path.is_absolute() {
            let detail = format!("`{}` is no absolute path", path.display());
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
    }
    let (answer, answered) = oneshot::channel();
    // Orders wait for each other here: only one at a time is carried out, and after it there is nothing to hand over.
    if api.handover.try_send(Order { wanted, answer }).is_err() {
        return Err(Problem::new(StatusCode::CONFLICT, "the process is handing over or ending already"));
    }
    let ended = |_| Problem::new(StatusCode::CONFLICT, "the process is ending");
    Ok(Json(answered.await.map_err(ended)??))
}
