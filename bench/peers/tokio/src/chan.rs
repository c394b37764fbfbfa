// SPDX-License-Identifier: MIT

//! Channels: one alone, a select over several, a pipeline of two and a pool of workers behind one.
//! An mpsc channel has room for 1 at least: that is what stands for one without room.

use crate::{check, fail, Timed};
use std::sync::Arc;
use std::time::Instant;
use tokio::spawn;
use tokio::sync::{mpsc, Mutex};
use tokio_util::sync::CancellationToken;

/// Sends 1 to n and closes; sum_to is what they come to.
async fn generate(tx: mpsc::Sender<usize>, n: usize) {
    for i in 1..=n {
        tx.send(i).await.expect("a receiver");
    }
}

pub fn sum_to(n: usize) -> usize {
    n * (n + 1) / 2
}

pub async fn channel(room: usize, n: usize) -> Timed {
    let (tx, mut rx) = mpsc::channel(room);
    let mut sum = 0;

    let start = Instant::now();
    spawn(generate(tx, n));
    while let Some(v) = rx.recv().await {
        sum += v;
    }
    let took = start.elapsed();
    check("sum", sum, sum_to(n));
    (n, took)
}

/// Sends until done, and returns the sum of what the channel took.
async fn select_send(tx: mpsc::Sender<usize>, done: CancellationToken) -> usize {
    let mut sum = 0;
    let cancelled = done.cancelled();

    tokio::pin!(cancelled);
    for i in 1.. {
        tokio::select! {
            biased;
            _ = &mut cancelled => break,
            sent = tx.send(i) => {
                sent.expect("a receiver");
                sum += i;
            }
        }
    }
    sum
}

pub async fn selects(room: usize, n: usize) -> Timed {
    let (tx0, mut rx0) = mpsc::channel(room);
    let (tx1, mut rx1) = mpsc::channel(room);
    let (tx2, mut rx2) = mpsc::channel(room);
    let (tx3, mut rx3) = mpsc::channel(room);
    let done = CancellationToken::new();
    let cancelled = done.cancelled();
    let (mut sum, mut sent) = (0, 0);

    tokio::pin!(cancelled);
    let start = Instant::now();
    let senders = [tx0, tx1, tx2, tx3].map(|tx| spawn(select_send(tx, done.clone())));
    for _ in 0..n {
        sum += tokio::select! {
            Some(v) = rx0.recv() => v,
            Some(v) = rx1.recv() => v,
            Some(v) = rx2.recv() => v,
            Some(v) = rx3.recv() => v,
            _ = &mut cancelled => fail("done too early"),
        };
    }
    done.cancel();
    for sender in senders {
        sent += sender.await.expect("a sender");
    }
    let took = start.elapsed();

    // What was sent and not received is still in the channels.
    for mut rx in [rx0, rx1, rx2, rx3] {
        while let Some(v) = rx.recv().await {
            sum += v;
        }
    }
    check("sum", sum, sent);
    (n, took)
}

pub async fn pipeline(room: usize, n: usize) -> Timed {
    let (tx1, mut rx1) = mpsc::channel(room);
    let (tx2, mut rx2) = mpsc::channel(room);
    let mut sum = 0;

    let start = Instant::now();
    spawn(generate(tx1, n));
    spawn(async move {
        while let Some(v) = rx1.recv().await {
            tx2.send(v).await.expect("a receiver");
        }
    });
    while let Some(v) = rx2.recv().await {
        sum += v;
    }
    let took = start.elapsed();
    check("sum", sum, sum_to(n));
    (n, took)
}

#[inline(never)]
fn add(sum: &mut usize, v: usize) {
    *sum += v;
}

/// Tokio's queue has one receiver, which the workers share behind a mutex.
pub async fn pool(n: usize) -> Timed {
    let (tx, rx) = mpsc::channel(64);
    let rx = Arc::new(Mutex::new(rx));
    let mut sum = 0;

    let start = Instant::now();
    let workers = [(); 64].map(|_| {
        let rx = rx.clone();
        spawn(async move {
            let mut sum = 0;
            loop {
                let job = rx.lock().await.recv().await;
                match job {
                    Some(v) => add(&mut sum, v),
                    None => return sum,
                }
            }
        })
    });
    generate(tx, n).await;
    for worker in workers {
        sum += worker.await.expect("a worker");
    }
    let took = start.elapsed();
    check("sum", sum, sum_to(n));
    (n, took)
}
