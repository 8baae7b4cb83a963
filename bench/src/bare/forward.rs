//! A bare forwarder: reads each stream once and writes each chunk, as it arrives, to every subscriber.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::link::{Connection, Listener, RecvStream, SendStream, Side};
use crate::Error;

/// How many chunks may wait for one subscriber's stream before its publisher is not read on.
const QUEUE: usize = 64;

/// Takes `subscribers` subscribers and a publisher, and forwards everything from it to them until it closes.
pub(crate) async fn forward(listener: &Listener, subscribers: u32) -> Result<(), Error> {
    let mut taken = Vec::new();
    let mut publisher = None;
    while taken.len() < subscribers as usize || publisher.is_none() {
        match listener.accept().await? {
            (Side::Subscriber, connection) => taken.push(connection),
            (Side::Publisher, connection) => publisher = Some(connection),
        }
    }
    let Some(publisher) = publisher else { return Err("no publisher came".into()) };
    let streams = streams(&publisher, &taken);
    let datagrams = datagrams(&publisher, &taken);
    // Subscribers close when they have all; the publisher is let go when the last of them has.
    let closed = async {
        for subscriber in &taken {
            subscriber.closed().await;
        }
        publisher.close();
    };
    tokio::join!(streams, datagrams, closed);
    Ok(())
}

async fn streams(publisher: &Connection, subscribers: &[Connection]) {
    while let Ok(stream) = publisher.accept_uni().await {
        let subscribers = subscribers.to_vec();
        tokio::spawn(async move {
            // A subscriber that is gone wants no more of it.
            let _ = copy(stream, &subscribers).await;
        });
    }
}

async fn copy(mut stream: RecvStream, subscribers: &[Connection]) -> Result<(), Error> {
    let mut writers = Vec::with_capacity(subscribers.len());
    for subscriber in subscribers {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(write(subscriber.open_uni().await?, receiver));
        writers.push(sender);
    }
    let mut chunks = [const { Bytes::new() }; 16];
    while let Some(count) = stream.read(&mut chunks).await? {
        for writer in &writers {
            // As above.
            let _ = writer.send(chunks[..count].to_vec()).await;
        }
    }
    Ok(())
}

async fn write(mut stream: SendStream, mut chunks: mpsc::Receiver<Vec<Bytes>>) {
    while let Some(mut chunks) = chunks.recv().await {
        if stream.write_all(&mut chunks).await.is_err() {
            return;
        }
    }
    stream.finish();
}

async fn datagrams(publisher: &Connection, subscribers: &[Connection]) {
    while let Ok(datagram) = publisher.read_datagram().await {
        for subscriber in subscribers {
            let _ = subscriber.send_datagram(datagram.clone()).await;
        }
    }
}
