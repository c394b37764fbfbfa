// SPDX-License-Identifier: MIT

//! CancellationToken: one made and cancelled under a parent, and one that many tasks wait under.

use crate::sync::Ready;
use crate::{check, fail, Timed};
use std::time::Instant;
use tokio::spawn;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub async fn children(n: usize) -> Timed {
    let parent = CancellationToken::new();
    let mut cancelled = 0;

    let start = Instant::now();
    for _ in 0..n {
        let child = parent.child_token();
        child.cancel();
        cancelled += child.is_cancelled() as usize;
    }
    let took = start.elapsed();
    check("cancelled", cancelled, n);
    (n, took)
}

pub async fn cancel_all(tasks: usize) -> Timed {
    let token = CancellationToken::new();
    let ready = Ready::new(tasks);
    let (_tx, rx) = watch::channel(0);
    let (ended, mut all_ended) = mpsc::channel::<()>(1);

    for _ in 0..tasks {
        let (token, ready, mut rx, ended) =
            (token.clone(), ready.clone(), rx.clone(), ended.clone());
        spawn(async move {
            ready.one();
            tokio::select! {
                biased;
                _ = token.cancelled() => drop(ended),
                _ = rx.changed() => fail("a word that nobody sent"),
            }
        });
    }
    drop(ended);
    ready.all().await;

    let start = Instant::now();
    token.cancel();
    check("words", all_ended.recv().await.is_some() as usize, 0);
    (tasks, start.elapsed())
}
