//! The shop's services: real HTTP servers on loopback, some of them with the flaws of real ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

/// Where the services' endpoints listen.
pub struct Shop {
    /// Three; the third is slow.
    pub products: Vec<SocketAddr>,
    /// Three; the second drops every third connection.
    pub orders: Vec<SocketAddr>,
    /// Two; every fourth payment takes too long.
    pub payments: Vec<SocketAddr>,
}

/// What is wrong with an endpoint.
#[derive(Clone, Copy)]
enum Flaw {
    None,
    Slow(Duration),
    /// Every so many-th request gets no answer in time.
    Stalls(u64),
}

/// Starts the services on a thread of their own, on free ports.
pub fn open() -> Result<Shop> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().name("shop".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(async {
                // Nobody is waiting any more when the demo has failed to start.
                let _ = sender.send(start().await);
                std::future::pending::<()>().await;
            }),
            Err(error) => drop(sender.send(Err(error.into()))),
        }
    })?;
    receiver.recv().context("the shop's thread ended")?
}

async fn start() -> Result<Shop> {
    let slow = Flaw::Slow(Duration::from_millis(300));
    Ok(Shop {
        products: vec![
            serve("products-1", Flaw::None).await?,
            serve("products-2", Flaw::None).await?,
            serve("products-3", slow).await?,
        ],
        orders: vec![
            serve("orders-1", Flaw::None).await?,
            serve_dropping("orders-2", 3).await?,
            serve("orders-3", Flaw::None).await?,
        ],
        payments: vec![serve("payments-1", Flaw::None).await?, serve("payments-2", Flaw::Stalls(2)).await?],
    })
}

async fn serve(name: &'static str, flaw: Flaw) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, router(name, flaw)).into_future());
    Ok(address)
}

fn router(name: &'static str, flaw: Flaw) -> Router {
    let served = Arc::new(AtomicU64::new(0));
    let answer = move |uri: Uri| async move {
        let number = served.fetch_add(1, Ordering::Relaxed) + 1;
        match flaw {
            Flaw::None => {}
            Flaw::Slow(time) => tokio::time::sleep(time).await,
            Flaw::Stalls(every) if number.is_multiple_of(every) => {
                tokio::time::sleep(Duration::from_secs(60)).await
            }
            Flaw::Stalls(_) => {}
        }
        (StatusCode::OK, format!("{name} answers {uri}\n")).into_response()
    };
    Router::new().route("/healthz", get(|| async { "ok\n" })).fallback(answer)
}

/// A service behind something that closes every so many-th connection as soon as a request is there.
async fn serve_dropping(name: &'static str, every: u64) -> Result<SocketAddr> {
    let service = serve(name, Flaw::None).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let mut accepted = 0u64;
        while let Ok((mut client, _)) = listener.accept().await {
            accepted += 1;
            if accepted.is_multiple_of(every) {
                continue;
            }
            tokio::spawn(async move {
                let mut service = tokio::net::TcpStream::connect(service).await?;
                // One request a connection, so that there are connections to drop.
                let mut request = [0; 4096];
                let read = tokio::io::AsyncReadExt::read(&mut client, &mut request).await?;
                tokio::io::AsyncWriteExt::write_all(&mut service, &request[..read]).await?;
                let mut response = [0; 4096];
                let read = tokio::io::AsyncReadExt::read(&mut service, &mut response).await?;
                tokio::io::AsyncWriteExt::write_all(&mut client, &response[..read]).await
            });
        }
    });
    Ok(address)
}
