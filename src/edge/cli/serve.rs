//! `syncline serve`: the function's routes on a plain port.

use std::net::{Ipv4Addr, SocketAddr};

use axum::serve::{Listener, ListenerExt};
use tokio::net::TcpListener;

use super::terminal::app::open_or_print;
use super::terminal::output::Exit;
use crate::edge::calling::sync_path;
use crate::edge::http::router;
use crate::engine::model::pipeline::DEFAULT_PIPELINE;
use crate::wiring::App;

#[derive(Debug, clap::Args)]
pub struct ServeArguments {
    /// The port
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// The address to listen on; others than this machine's need TLS in front
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST.into())]
    address: std::net::IpAddr,
}

/// Serves until it is interrupted; calls that are under way are finished first.
pub async fn serve(arguments: &ServeArguments) -> Exit {
    let app = match open_or_print(App::function_from_process()) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    let router = match router(app) {
        Ok(router) => router,
        Err(error) => {
            eprintln!("{error}");
            return Exit::Usage;
        }
    };
    let address = SocketAddr::new(arguments.address, arguments.port);
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("Cannot listen on {address}: {error}\n  Choose another port with --port");
            return Exit::Failed;
        }
    };
    let bound = listener.local_addr().unwrap_or(address);
    eprintln!("Serving http://{bound}{}", sync_path(DEFAULT_PIPELINE));
    match axum::serve(without_delay(listener), router).with_graceful_shutdown(interrupted()).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("The server stopped: {error}");
            Exit::Failed
        }
    }
}

/// Returns a listener whose connections send their last bytes at once. Without it, the end of an
/// answer that is larger than a packet waits for the caller's acknowledgement, which comes 40 ms
/// late (Nagle's algorithm meets delayed acknowledgements, RFC 1122, 4.2.3.4).
pub fn without_delay(listener: TcpListener) -> impl Listener<Addr = SocketAddr> {
    // A socket that does not take the option only answers later.
    listener.tap_io(|stream| drop(stream.set_nodelay(true)))
}

/// Returns on Ctrl-C, or on the signal that service managers stop a process with.
pub async fn interrupted() {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
