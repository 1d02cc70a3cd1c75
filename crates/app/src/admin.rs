//! The sockets of the admin API: where they are, who may open them, what is left of them at the end.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tollgate_admin::{Access, Api, Token};
use tollgate_config::{Document, Switch};
use tollgate_runtime::process;

use crate::serving::note;

/// For responses that have begun when the process ends.
const LAST_RESPONSES: Duration = Duration::from_secs(1);
/// Names the socket, for the process and for the verbs that talk to it.
const SOCKET_VARIABLE: &str = "TOLLGATE_SOCKET";

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
}

/// The path of a bound socket. Dropping it removes the file, before the socket is closed: so a process that
/// comes next either finds this one listening or nothing.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The API as it is served.
pub struct AdminServer {
    tasks: JoinSet<()>,
    /// The API ends when it is dropped.
    ending: watch::Sender<()>,
    file: Option<SocketFile>,
}

impl AdminSockets {
    /// Binds what the document names, or the default socket. To be called within the runtime.
    pub fn bind(document: &Document) -> Result<Self> {
        let settings = match document.admin.as_ref().map(|admin| &admin.value) {
            Some(Switch::Off) => return Ok(Self { network: None, socket: None }),
            Some(Switch::On(settings)) => Some(settings),
            None => None,
        };
        let network = match settings.and_then(|settings| settings.listen.as_ref()) {
            None => None,
            Some(listen) => {
                let address = listen.value.socket(true);
                let (listener, bound) = listen_openly(address)
                    .with_context(|| format!("cannot listen on {address} for the admin API"))?;
                let token = settings.and_then(|settings| settings.token.as_ref());
                let token = token.and_then(|token| Token::new(token.reveal()));
                Some((listener, bound, Access::Network { token }))
            }
        };
        let socket = match settings.and_then(|settings| settings.socket.as_ref()) {
            None => default_socket(),
            Some(socket) => {
                let path = Path::new(socket.value.as_str());
                let listener = listen_privately(path)
                    .with_context(|| format!("cannot listen on {} for the admin API", path.display()))?;
                Some((listener, SocketFile(path.to_owned())))
            }
        };
        Ok(Self { network, socket })
    }

    /// Whether nobody can reach the API.
    pub fn is_empty(&self) -> bool {
        self.network.is_none() && self.socket.is_none()
    }

    /// Serves the API on them.
    pub fn serve(self, api: Arc<Api>) -> AdminServer {
        let mut tasks = JoinSet::new();
        let (ending, ended) = watch::channel(());
        if let Some((listener, address, access)) = self.network {
            note(&format!("metrics and health on http://{address}/"));
            tasks.spawn(tollgate_admin::serve(listener, api.clone(), access, ended.clone()));
        }
        let file = self.socket.map(|(listener, file)| {
            note(&format!("admin API on {}", file.0.display()));
            tasks.spawn(tollgate_admin::serve(listener, api, Access::Everything, ended));
            file
        });
        AdminServer { tasks, ending, file }
    }
}

impl AdminServer {
    /// Ends it, and with it its hold on the process. Responses that have begun have a moment to end.
    pub async fn end(self) {
        let Self { mut tasks, ending, file } = self;
        drop((file, ending));
        let ended = async { while tasks.join_next().await.is_some() {} };
        // Whoever does not take his response by then goes without.
        let _ = tokio::time::timeout(LAST_RESPONSES, ended).await;
        tasks.shutdown().await;
    }
}

fn listen_openly(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    Ok((TcpListener::from_std(listener)?, bound))
}

/// The socket at the first default place that can be had. That there is none is no reason not to serve
/// traffic.
fn default_socket() -> Option<(UnixListener, SocketFile)> {
    let mut problems = Vec::new();
    for path in default_places() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let made = folder
            .map_or(Ok(()), |folder| std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder));
        match made.and_then(|()| listen_privately(&path)) {
            Ok(listener) => return Some((listener, SocketFile(path))),
            Err(error) => problems.push(format!("{}: {error}", path.display())),
        }
    }
    note(&format!(
        "no admin API, and `tollgate status` will not find this process ({})",
        problems.join("; ")
    ));
    None
}

/// A unix socket that only this user can open. One that a process left behind is replaced; one that
/// somebody listens on is not, and neither is a file that is no socket.
fn listen_privately(path: &Path) -> io::Result<UnixListener> {
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
    process::privately(|| UnixListener::bind(path))
}

#[cfg(test)]
mod tests {
    use super::listen_privately;
    use std::io::ErrorKind;

    #[test]
    fn a_file_in_the_place_of_the_admin_socket_is_left_alone() {
        let path = std::env::temp_dir().join(format!("tollgate-no-socket-{}", std::process::id()));
        std::fs::write(&path, "precious").unwrap();
        let refused = listen_privately(&path).map(drop).map_err(|error| error.kind());
        let kept = std::fs::read_to_string(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!((refused, kept.unwrap().as_str()), (Err(ErrorKind::AlreadyExists), "precious"));
    }
}
