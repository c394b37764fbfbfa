// SPDX-License-Identifier: MIT

//! The semaphore, fought for and free.

use crate::{check, fail, Timed};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::task::{spawn, yield_now};

pub async fn contended(n: usize) -> Timed {
    const TASKS: usize = 1000;
    const PERMITS: usize = 10;
    let sem = Arc::new(Semaphore::new(PERMITS));
    let inside = Arc::new(AtomicUsize::new(0));
    let mut rounds = 0;

    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (sem, inside) = (sem.clone(), inside.clone());
            spawn(async move {
                for _ in 0..n {
                    let permit = sem.acquire().await.expect("open");
                    if inside.fetch_add(1, Relaxed) >= PERMITS {
                        fail("more inside than permits");
                    }
                    yield_now().await;
                    inside.fetch_sub(1, Relaxed);
                    drop(permit);
                }
                n
            })
        })
        .collect();
    for task in tasks {
        rounds += task.await.expect("a task");
    }
    let took = start.elapsed();
    check("rounds", rounds, TASKS * n);
    (TASKS * n, took)
}

pub async fn free(n: usize) -> Timed {
    let sem = Semaphore::new(1);

    let start = Instant::now();
    for _ in 0..n {
        drop(sem.acquire().await.expect("open"));
    }
    let took = start.elapsed();
    check("permits", sem.available_permits(), 1);
    (n, took)
}
