//! The time between the start and the end of serving, in which the process waits for its end, or for the order to hand
//! over.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use tollgate_admin::resources::handover::{HandedOver, NotHandedOver, Order, Wanted};
use tollgate_control::Instance;
use tollgate_control::membership::OperatorChanges;

use super::departure::{Arrived, Departure};
use super::wire::State;
use super::{Program, carried, notify};
use crate::admin::AdminServer;
use crate::serving::{Ending, note};

/// Why serving ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A signal has asked for it.
    Asked,
    /// Another process serves.
    HandedOver,
}

/// What serves.
pub struct Turn {
    /// What runs.
    pub instance: Arc<Instance>,
    /// The admin API.
    pub admin: AdminServer,
    /// How this process was started; `None` where no other can take its place.
    pub program: Option<Program>,
    /// Its document is reloaded when its files change.
    pub watch: bool,
}

/// Who may ask for what while it serves.
pub struct Asking {
    /// Asks to hand over.
    pub signals: Signal,
    /// Asks to hand over, and waits for an answer.
    pub orders: mpsc::Receiver<Order>,
    /// Told when the process before this one has left everything to it.
    pub yours: oneshot::Receiver<()>,
}

/// Why a hand-over has not come about.
enum NotNow {
    /// This is why.
    Refused(NotHandedOver),
    /// The process is to end.
    Asked,
}

impl Turn {
    /// Waits for the end, and tells which one it is. Hand-overs that fail are none.
    pub async fn last(&mut self, ending: &mut Ending, asking: Asking) -> End {
        let Asking { mut signals, mut orders, mut yours } = asking;
        let mut own = false;
        loop {
            let order = tokio::select! {
                () = ending.wait() => return End::Asked,
                // Also where whoever would tell is gone.
                _ = &mut yours, if !own => {
                    self.admin.own();
                    own = true;
                    continue;
                }
                Some(()) = signals.recv() => None,
                Some(order) = orders.recv() => Some(order),
            };
            let (wanted, answer) = order.map_or((Wanted::default(), None), |o| (o.wanted, Some(o.answer)));
            let result = self.hand_over(&wanted, ending).await;
            if result.is_err() {
                self.instance.process().stay();
            }
            let told = match &result {
                Ok(handed) => Ok(*handed),
                Err(NotNow::Refused(why)) => {
                    note(&format!("not handed over, this process goes on: {}", why.text()));
                    Err(why.clone())
                }
                Err(NotNow::Asked) => Err(NotHandedOver::Conflict("the process was told to end".to_owned())),
            };
            // Who asked may have gone.
            let _ = answer.map(|answer| answer.send(told));
            match result {
                Ok(_) => return End::HandedOver,
                Err(NotNow::Asked) => return End::Asked,
                Err(NotNow::Refused(_)) => {}
            }
        }
    }

    /// Starts another process and leaves everything to it, or goes on as if nothing had happened.
    async fn hand_over(&mut self, wanted: &Wanted, ending: &mut Ending) -> Result<HandedOver, NotNow> {
        let program = self.next(wanted).map_err(|why| NotNow::Refused(NotHandedOver::Conflict(why)))?;
        note(&format!("handing over to {}", program.path.display()));
        let mut departure = self.begin(program, wanted).map_err(|error| {
            NotNow::Refused(NotHandedOver::Failed(format!("it cannot be begun: {error}")))
        })?;
        let arrived = tokio::select! {
            arrived = departure.arrived() => Some(arrived),
            () = ending.wait() => None,
        };
        let Some(arrived) = arrived else {
            departure.give_up().await;
            return Err(NotNow::Asked);
        };
        let arrived = arrived.map_err(|failure| {
            NotNow::Refused(match failure.is_document() {
                true => NotHandedOver::Document(failure.to_string()),
                false => NotHandedOver::Failed(failure.to_string()),
            })
        })?;
        Ok(self.leave(arrived).await)
    }

    /// The process that is to come.
    fn next(&self, wanted: &Wanted) -> Result<Program, String> {
        let Some(program) = &self.program else {
            return Err("what this process serves is in itself, so no other can take its place".to_owned());
        };
        if self.instance.trial().is_some_and(|trial| !trial.verdict.is_final()) {
            return Err("a document is on trial; confirm it or wait for its end".to_owned());
        }
        let arguments = match &wanted.config {
            None => program.arguments.clone(),
            Some(_) if self.instance.file().is_none() => {
                return Err("this process was started without a document, so its successor cannot have one"
                    .to_owned());
            }
            Some(config) => running(config, self.watch),
        };
        Ok(Program { path: wanted.binary.clone().unwrap_or_else(|| program.path.clone()), arguments })
    }

    fn begin(&self, program: Program, wanted: &Wanted) -> std::io::Result<Departure> {
        let process = self.instance.process();
        let mut passed = process.pass_listeners()?;
        passed.extend(self.admin.pass()?);
        let snapshot = process.snapshot();
        let state = State {
            tickets: self.instance.save_tickets(),
            session_key: self.instance.save_session_key(),
            operator: OperatorChanges::of(&snapshot.upstreams),
            health: carried::health(&snapshot),
            document: wanted.config.is_none().then(|| self.instance.beside_its_file()).flatten(),
        };
        Departure::begin(program, passed, state, wanted.timeout())
    }

    /// The new process is ready: from here on this one only finishes what it has begun.
    async fn leave(&mut self, arrived: Arrived) -> HandedOver {
        let handed = HandedOver { pid: arrived.pid(), old_pid: std::process::id() };
        note(&format!("process {} is ready and serves from now on", handed.pid));
        self.instance.process().announce_drain();
        self.instance.leave().await;
        self.admin.leave().await;
        notify::succeeded_by(handed.pid);
        arrived.leave();
        handed
    }
}

/// The arguments of a process that serves this document.
fn running(config: &Path, watch: bool) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["run".into(), "--config".into(), config.into()];
    if watch {
        arguments.push("--watch".into());
    }
    arguments
}
