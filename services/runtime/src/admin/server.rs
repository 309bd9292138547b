//! The thread that listens. Every connection gets one answer, a few seconds, and little memory.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::answer::Pages;

/// What a client may take. Without keep-alive, and with these, the most that all clients together can hold is 64 × 16 KiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at a time; further ones wait in the system's queue.
    pub(super) connections: usize,
    /// Time for a request's head.
    pub(super) head: Duration,
    /// Time for all of a connection.
    pub(super) connection: Duration,
    /// Bytes of a request's head.
    pub(super) head_bytes: usize,
    /// Header lines of a request.
    pub(super) headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            head: Duration::from_secs(5),
            connection: Duration::from_secs(15),
            head_bytes: 16 << 10,
            headers: 64,
        }
    }
}

/// Environment: the admin server cannot listen. A retry helps once the address is free.
#[derive(Debug, thiserror::Error)]
#[error("admin.listen: cannot listen on {address}: {reason}; give another address or port (port 0 takes a free one)")]
pub struct AdminError {
    address: SocketAddr,
    reason: io::Error,
}

/// A server that listens until it is dropped.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    thread: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl AdminServer {
    /// Listens on `address`, and logs where.
    pub fn start(address: SocketAddr, pages: Pages) -> Result<Self, AdminError> {
        Self::start_with(address, pages, Limits::default())
    }

    pub(super) fn start_with(address: SocketAddr, pages: Pages, limits: Limits) -> Result<Self, AdminError> {
        let failed = |reason| AdminError { address, reason };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let run = move || runtime.block_on(run(listener, pages, limits, stopped));
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(run).map_err(failed)?;
        tracing::info!(%address, "health and metrics at http://{address}/");
        Ok(Self { address, thread: Some((stop, thread)) })
    }

    /// Where it listens: with the port that was taken where 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            // Whether the thread still listens or not, it ends.
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

async fn run(listener: TcpListener, pages: Pages, limits: Limits, stopped: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "health and metrics are not served");
            return;
        }
    };
    tokio::spawn(accept(listener, pages, limits));
    // Sent or dropped, both mean the end; with the runtime its tasks end too.
    let _ = stopped.await;
}

async fn accept(listener: tokio::net::TcpListener, pages: Pages, limits: Limits) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // A client that went away, or no descriptors left: both pass.
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let pages = pages.clone();
        tokio::spawn(async move {
            let _permit = permit;
            match timeout(limits.connection, serve(stream, pages, limits)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a request to the admin server failed"),
                Err(_) => tracing::debug!("a client of the admin server was too slow"),
            }
        });
    }
}

async fn serve(stream: tokio::net::TcpStream, pages: Pages, limits: Limits) -> hyper::Result<()> {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let answer = pages.answer(request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes)
        .max_headers(limits.headers)
        .keep_alive(false)
        // A client may say that it has asked all it will (`nc` does) and still waits for its answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
