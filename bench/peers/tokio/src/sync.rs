// SPDX-License-Identifier: MIT

//! The resident memory of tasks that wait; and how it is known that they do.

use crate::{check, process, Figure};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Duration;
use tokio::spawn;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

/// Counts the tasks that are about to wait.
#[derive(Clone)]
pub struct Ready(Arc<AtomicUsize>);

impl Ready {
    pub fn new(tasks: usize) -> Ready {
        Ready(Arc::new(AtomicUsize::new(tasks)))
    }

    pub fn one(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// That they wait cannot be seen from outside: the last have a moment to get there.
    pub async fn all(&self) {
        while self.0.load(Relaxed) > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// The channel is a watch, which has many receivers: all of them get the word.
pub async fn memory(tasks: usize) -> Vec<Figure> {
    const WORD: usize = 7;
    let before = process::resident();
    let shared = Arc::new((Ready::new(tasks), AtomicUsize::new(0)));
    let (tx, rx) = watch::channel(0);
    let (ended, mut all_ended) = mpsc::channel::<()>(1);

    for _ in 0..tasks {
        let (shared, mut rx, ended) = (shared.clone(), rx.clone(), ended.clone());
        spawn(async move {
            let (ready, sum) = &*shared;
            ready.one();
            rx.changed().await.expect("a sender");
            sum.fetch_add(*rx.borrow(), Relaxed);
            drop(ended);
        });
    }
    drop(ended);
    shared.0.all().await;
    let grown = process::resident() - before;

    tx.send(WORD).expect("receivers");
    check("words", all_ended.recv().await.is_some() as usize, 0);
    check("sum", shared.1.load(Relaxed), tasks * WORD);
    vec![Figure("", grown as f64 / tasks as f64, "bytes")]
}
