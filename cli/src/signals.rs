//! SIGINT and SIGTERM, or what the system has of them.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for the signals that ask the program to end, from its making on.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
}

impl Signals {
    #[cfg(unix)]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for one: its number.
    #[cfg(unix)]
    pub(crate) async fn end(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for one: its number.
    #[cfg(not(unix))]
    pub(crate) async fn end(&mut self) -> u8 {
        match tokio::signal::ctrl_c().await {
            Ok(()) => 2,
            Err(_) => std::future::pending().await,
        }
    }
}

/// Listens for the signal that asks for settings to be read anew, where the system has it.
#[derive(Debug)]
pub(crate) struct Reload {
    #[cfg(unix)]
    hangup: Signal,
}

impl Reload {
    #[cfg(unix)]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { hangup: signal(SignalKind::hangup())? })
    }

    /// Waits for it.
    #[cfg(unix)]
    pub(crate) async fn asked(&mut self) {
        self.hangup.recv().await;
    }

    #[cfg(not(unix))]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for it.
    #[cfg(not(unix))]
    pub(crate) async fn asked(&mut self) {
        std::future::pending().await
    }
}
