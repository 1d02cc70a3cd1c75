//! The sockets of the admin API: where they are, who may open them, what is left of them at the end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::serve::Listener;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tollgate_admin::{Access, Api, Token};
use tollgate_config::{Document, Switch};
use tollgate_control::inherited::{Inherited, Passed};
use tollgate_runtime::process;

use crate::handover::Arrival;
use crate::serving::note;

/// For responses that have begun when the process ends.
const LAST_RESPONSES: Duration = Duration::from_secs(1);
/// Names the socket, for the process and for the verbs that talk to it.
const SOCKET_VARIABLE: &str = "TOLLGATE_SOCKET";

/// How the admin listener is called among those of the document.
const NAME: &str = "admin API";

/// Where the socket is if nothing names one: for a service, then for a user's own process.
pub fn default_places() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os(SOCKET_VARIABLE).filter(|named| !named.is_empty()) {
        return vec![named.into()];
    }
    let of_user = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
    let folders = [Some("/run".into()), of_user.map(PathBuf::from)];
    folders.into_iter().flatten().map(|folder: PathBuf| folder.join("tollgate/admin.sock")).collect()
}

/// The sockets, bound and not yet served.
pub struct AdminSockets {
    network: Option<(TcpListener, SocketAddr, Access)>,
    socket: Option<(UnixListener, SocketFile)>,
    /// The same sockets, for the next process.
    passed: Vec<Passed>,
}

/// The path of a bound socket. Dropping it removes the file, before the socket is closed: so a process that
/// comes next either finds this one listening or nothing.
struct SocketFile {
    path: PathBuf,
    /// It belongs to this process. Otherwise to the one before it, or to the next one, and stays.
    own: bool,
}

impl SocketFile {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), own: true }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.own {
            // Somebody else may have removed it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The API as it is served.
pub struct AdminServer {
    tasks: JoinSet<()>,
    /// The API ends when it is dropped.
    ending: Option<watch::Sender<()>>,
    file: Option<SocketFile>,
    passed: Vec<Passed>,
    /// Ends when no listener is open any more.
    open: mpsc::Receiver<Infallible>,
}

/// A listener that tells when it is closed.
struct Told<L> {
    listener: L,
    _open: mpsc::Sender<Infallible>,
}

impl<L: Listener> Listener for Told<L> {
    type Io = L::Io;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (L::Io, L::Addr) {
        self.listener.accept().await
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.listener.local_addr()
    }
}

impl AdminSockets {
    /// Binds what the document names, or the default socket; what is inherited of that is taken instead. To be called
    /// within the runtime.
    pub fn bind(document: &Document, arrival: &mut Arrival) -> Result<Self> {
        let settings = match document.admin.as_ref().map(|admin| &admin.value) {
            Some(Switch::Off) => return Ok(Self { network: None, socket: None, passed: Vec::new() }),
            Some(Switch::On(settings)) => Some(settings),
            None => None,
        };
        let mut passed = Vec::new();
        let network = match settings.and_then(|settings| settings.listen.as_ref()) {
            None => None,
            Some(listen) => {
                let address = listen.value.socket(true);
                let listener = listen_openly(address, &mut arrival.inherited)
                    .with_context(|| format!("cannot listen on {address} for the admin API"))?;
                passed.push(to_pass(listener.try_clone()?.into(), Some(address)));
                let (bound, listener) = (listener.local_addr()?, TcpListener::from_std(listener)?);
                let token = settings.and_then(|settings| settings.token.as_ref());
                let token = token.and_then(|token| Token::new(token.reveal()));
                Some((listener, bound, Access::Network { token }))
            }
        };
        let socket = match settings.and_then(|settings| settings.socket.as_ref()) {
            None => default_socket(&mut arrival.unix),
            Some(socket) => {
                let path = Path::new(socket.value.as_str());
                let listener = listen_privately(path, &mut arrival.unix)
                    .with_context(|| format!("cannot listen on {} for the admin API", path.display()))?;
                Some(listener)
            }
        };
        let socket = match socket {
            None => None,
            Some((listener, file)) => {
                listener.set_nonblocking(true)?;
                passed.push(to_pass(listener.try_clone()?.into(), None));
                Some((UnixListener::from_std(listener)?, file))
            }
        };
        Ok(Self { network, socket, passed })
    }

    /// Whether nobody can reach the API.
    pub fn is_empty(&self) -> bool {
        self.network.is_none() && self.socket.is_none()
    }

    /// Serves the API on them.
    pub fn serve(self, api: Arc<Api>) -> AdminServer {
        let mut tasks = JoinSet::new();
        let (ending, ended) = watch::channel(());
        let (still_open, open) = mpsc::channel(1);
        if let Some((listener, address, access)) = self.network {
            note(&format!("metrics and health on http://{address}/"));
            let listener = Told { listener, _open: still_open.clone() };
            tasks.spawn(tollgate_admin::serve(listener, api.clone(), access, ended.clone()));
        }
        let file = self.socket.map(|(listener, file)| {
            note(&format!("admin API on {}", file.path.display()));
            let listener = Told { listener, _open: still_open.clone() };
            tasks.spawn(tollgate_admin::serve(listener, api, Access::Everything, ended));
            file
        });
        AdminServer { tasks, ending: Some(ending), file, passed: self.passed, open }
    }
}

impl AdminServer {
    /// Its sockets, for the next process.
    pub fn pass(&self) -> io::Result<Vec<Passed>> {
        let again = |passed: &Passed| Ok(to_pass(passed.socket.try_clone()?, passed.wanted));
        self.passed.iter().map(again).collect()
    }

    /// The process before this one has left everything to it.
    pub fn own(&mut self) {
        self.file.iter_mut().for_each(|file| file.own = true);
    }

    /// Leaves its sockets to the next process. Whoever connects once this is done is served by that one; what has
    /// begun here goes on.
    pub async fn leave(&mut self) {
        self.file.iter_mut().for_each(|file| file.own = false);
        self.passed.clear();
        drop(self.ending.take());
        // Nobody sends anything: it ends when all listeners are closed.
        let _ = tokio::time::timeout(LAST_RESPONSES, self.open.recv()).await;
    }

    /// Ends it, and with it its hold on the process. Responses that have begun have a moment to end.
    pub async fn end(self) {
        let Self { mut tasks, ending, file, passed, .. } = self;
        drop((file, ending, passed));
        let ended = async { while tasks.join_next().await.is_some() {} };
        // Whoever does not take his response by then goes without.
        let _ = tokio::time::timeout(LAST_RESPONSES, ended).await;
        tasks.shutdown().await;
    }
}

fn to_pass(socket: OwnedFd, wanted: Option<SocketAddr>) -> Passed {
    Passed { socket, wanted, listener: NAME.to_owned(), quic: None }
}

fn listen_openly(address: SocketAddr, inherited: &mut Inherited) -> io::Result<std::net::TcpListener> {
    let listener = match inherited.take_one(address, NAME) {
        Some(listener) => listener,
        None => std::net::TcpListener::bind(address)?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The socket at the first default place that can be had. That there is none is no reason not to serve
/// traffic.
fn default_socket(inherited: &mut Vec<StdUnixListener>) -> Option<(StdUnixListener, SocketFile)> {
    let mut problems = Vec::new();
    for path in default_places() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let made = folder
            .map_or(Ok(()), |folder| std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder));
        match made.and_then(|()| listen_privately(&path, inherited)) {
            Ok(listener) => return Some(listener),
            Err(error) => problems.push(format!("{}: {error}", path.display())),
        }
    }
    note(&format!(
        "no admin API, and `tollgate status` will not find this process ({})",
        problems.join("; ")
    ));
    None
}

/// A unix socket that only this user can open: the one that is inherited, else a new one. One that a process left behind is replaced; one that
/// somebody listens on is not, and neither is a file that is no socket.
fn listen_privately(
    path: &Path,
    inherited: &mut Vec<StdUnixListener>,
) -> io::Result<(StdUnixListener, SocketFile)> {
    let is_here = |listener: &StdUnixListener| {
        listener.local_addr().is_ok_and(|address| address.as_pathname() == Some(path))
    };
    if let Some(place) = inherited.iter().position(is_here) {
        return Ok((inherited.swap_remove(place), SocketFile { path: path.to_owned(), own: false }));
    }
    if let Ok(found) = std::fs::metadata(path) {
        // Connecting to any other file is refused just as connecting to a socket left behind.
        if !found.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
        }
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on it")),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            Err(error) => return Err(error),
        }
    }
    Ok((process::privately(|| StdUnixListener::bind(path))?, SocketFile::new(path)))
}

#[cfg(test)]
mod tests {
    use super::listen_privately;
    use std::io::ErrorKind;

    #[test]
    fn a_file_in_the_place_of_the_admin_socket_is_left_alone() {
        let path = std::env::temp_dir().join(format!("tollgate-no-socket-{}", std::process::id()));
        std::fs::write(&path, "precious").unwrap();
        let refused = listen_privately(&path, &mut Vec::new()).map(drop).map_err(|error| error.kind());
        let kept = std::fs::read_to_string(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!((refused, kept.unwrap().as_str()), (Err(ErrorKind::AlreadyExists), "precious"));
    }
}
