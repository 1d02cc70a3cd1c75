//! Getting a connection: TCP, TLS, the password, and the sentinels' word for which server it is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, Value};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::settings::{Address, RedisSettings, Topology};
use super::unavailable::{Unavailable, UnavailableKind};

/// Runs the connection; ends when it breaks.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;
pub(super) type Opened = (MultiplexedConnection, Driver);

/// How many requests may wait for the connection to take them.
const QUEUE: usize = 1024;

/// What a node is: one address, or whichever the sentinels call the master.
#[derive(Clone, Debug)]
pub(super) enum Server {
    At(Address),
    Master,
}

/// Connects, and makes sure that the server answers.
pub(super) async fn connect(settings: &RedisSettings, server: &Server) -> Result<Opened, Unavailable> {
    let opened = try_connect(settings, server).await;
    // What breaks before anything was asked was not lost: it was not to be had.
    opened.map_err(|problem| match problem.kind {
        UnavailableKind::Lost => Unavailable { kind: UnavailableKind::Unreachable, ..problem },
        _ => problem,
    })
}

async fn try_connect(settings: &RedisSettings, server: &Server) -> Result<Opened, Unavailable> {
    let address = match (server, &settings.topology) {
        (Server::At(address), _) => address.clone(),
        (Server::Master, Topology::Sentinel { .. }) => master(settings).await?,
        (Server::Master, _) => {
            return Err(Unavailable::new(UnavailableKind::Unreachable, "no sentinels to ask for the master"));
        }
    };
    let (mut connection, mut driver) = open(settings, &address, &login(settings)).await?;
    let is_master = matches!(server, Server::Master);
    let probe = if is_master { redis::cmd("ROLE") } else { redis::cmd("PING") };
    let answer = ask(&mut connection, &mut driver, &probe).await?;
    // Sentinels may be behind: a server that was deposed would refuse to count.
    let role = match &answer {
        Value::Array(parts) => parts.first().and_then(text),
        _ => None,
    };
    match role {
        Some(role) if is_master && role != "master" => {
            Err(Unavailable::new(UnavailableKind::Unreachable, format!("{address} is a {role}")))
        }
        _ => Ok((connection, driver)),
    }
}

/// The text of an answer.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

/// Connects to ask one thing.
pub(super) async fn ask_once(
    settings: &RedisSettings,
    address: &Address,
    command: &Cmd,
) -> Result<Value, Unavailable> {
    let (mut connection, mut driver) = open(settings, address, &login(settings)).await?;
    ask(&mut connection, &mut driver, command).await
}

/// Asks while nobody else drives the connection.
async fn ask(
    connection: &mut MultiplexedConnection,
    driver: &mut Driver,
    command: &Cmd,
) -> Result<Value, Unavailable> {
    tokio::select! {
        biased;
        answer = connection.send_packed_command(command) => Ok(answer?.extract_error()?),
        () = driver => Err(Unavailable::new(UnavailableKind::Lost, "the connection was closed")),
    }
}

fn login(settings: &RedisSettings) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default().set_db(settings.database).set_lib_name("tollgate", "1");
    if let Some(username) = &settings.username {
        login = login.set_username(username);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password);
    }
    login
}

async fn open(
    settings: &RedisSettings,
    address: &Address,
    login: &RedisConnectionInfo,
) -> Result<Opened, Unavailable> {
    let failed =
        |error: std::io::Error| Unavailable::new(UnavailableKind::Unreachable, format!("{address}: {error}"));
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE);
    let Some(tls) = &settings.tls else {
        let (connection, driver) = MultiplexedConnection::new_with_config(login, stream, config).await?;
        return Ok((connection, Box::pin(driver)));
    };
    let name = settings.tls_name.clone().unwrap_or_else(|| address.host.clone());
    let name = ServerName::try_from(name).map_err(|error| {
        Unavailable::new(UnavailableKind::Unreachable, format!("{address}: no name for TLS: {error}"))
    })?;
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.map_err(failed)?;
    let (connection, driver) = MultiplexedConnection::new_with_config(login, stream, config).await?;
    Ok((connection, Box::pin(driver)))
}

/// Asks one sentinel after the other for the master.
async fn master(settings: &RedisSettings) -> Result<Address, Unavailable> {
    let Topology::Sentinel { master, nodes, password } = &settings.topology else {
        return Err(Unavailable::new(UnavailableKind::Unreachable, "no sentinels"));
    };
    let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(password) = password {
        login = login.set_password(password);
    }
    let mut problem = Unavailable::new(UnavailableKind::Unreachable, "no sentinel is named");
    for sentinel in nodes {
        // A sentinel that hangs must not keep the others from being asked.
        let asked = tokio::time::timeout(settings.timeout.max(SENTINEL_PATIENCE), async {
            let (mut connection, mut driver) = open(settings, sentinel, &login).await?;
            let mut command = redis::cmd("SENTINEL");
            command.arg("get-master-addr-by-name").arg(master);
            ask(&mut connection, &mut driver, &command).await
        });
        match asked.await {
            Ok(Ok(Value::Array(parts))) => {
                let host = parts.first().and_then(text);
                let port = parts.get(1).and_then(text).and_then(|port| port.parse().ok());
                if let (Some(host), Some(port)) = (host, port) {
                    return Ok(Address { host, port });
                }
                problem = garbled(sentinel);
            }
            Ok(Ok(Value::Nil)) => {
                let what = format!("the sentinel {sentinel} knows no master `{master}`");
                problem = Unavailable::new(UnavailableKind::Unreachable, what);
            }
            Ok(Ok(_)) => problem = garbled(sentinel),
            Ok(Err(error)) => problem = error,
            Err(_) => {
                let what = format!("the sentinel {sentinel} does not answer");
                problem = Unavailable::new(UnavailableKind::TimedOut, what);
            }
        }
    }
    Err(problem)
}

const SENTINEL_PATIENCE: std::time::Duration = std::time::Duration::from_millis(200);

fn garbled(sentinel: &Address) -> Unavailable {
    let what = format!("the sentinel {sentinel} does not answer as one");
    Unavailable::new(UnavailableKind::Garbled, what)
}
