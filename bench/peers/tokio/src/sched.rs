// SPDX-License-Identifier: MIT

//! What the scheduler alone does: tasks that yield, that start and end; runtimes that do so.

use crate::{Figure, Timed};
use std::time::Instant;
use tokio::task::{spawn, yield_now};

pub async fn yields(n: usize) -> Timed {
    const TASKS: usize = 3;

    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            spawn(async move {
                for _ in 0..n {
                    yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
    (TASKS * n, start.elapsed())
}

/// A vector of handles is faster than a JoinSet, which also says who was first.
pub async fn spawns(tasks: usize, n: usize) -> Timed {
    let mut handles = Vec::with_capacity(tasks);

    let start = Instant::now();
    for _ in 0..n {
        handles.extend((0..tasks).map(|_| spawn(async {})));
        for handle in handles.drain(..) {
            handle.await.expect("a task");
        }
    }
    (tasks * n, start.elapsed())
}

/// Of a thread of its own: one runtime may not end within another.
pub fn runtimes(n: usize) -> Vec<Figure> {
    let took = std::thread::spawn(move || {
        let start = Instant::now();
        for _ in 0..n {
            drop(crate::runtime());
        }
        start.elapsed()
    })
    .join()
    .expect("a thread");
    vec![Figure("", took.as_secs_f64() * 1e6 / n as f64, "us")]
}
