// SPDX-License-Identifier: MIT

//! Timers that are started and cancelled beside others, and very many tasks that sleep.

use crate::{check, fail, process, Figure, Timed};
use std::future::ready;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::spawn;
use tokio::sync::mpsc;
use tokio::time::{sleep, Sleep};

/// A sleep is started by its first poll and cancelled by its drop.
pub async fn timers(live: usize, n: usize) -> Timed {
    let mut others: Vec<Pin<Box<Sleep>>> = Vec::with_capacity(live);
    let mut cancelled = 0;

    for i in 0..live {
        let mut other = Box::pin(sleep(Duration::from_millis(3_600_000 + i as u64)));
        tokio::select! {
            biased;
            _ = &mut other => fail("a timer of an hour went off"),
            _ = ready(()) => others.push(other),
        }
    }
    let start = Instant::now();
    for i in 0..n {
        tokio::select! {
            biased;
            _ = sleep(Duration::from_millis(1_000 + i as u64 % 1_000)) => {}
            _ = ready(()) => cancelled += 1,
        }
    }
    let took = start.elapsed();
    check("cancelled", cancelled, n);
    check("live", others.iter().filter(|other| !other.is_elapsed()).count(), live);
    (n, took)
}

pub async fn sleeps(n: usize) -> Vec<Figure> {
    let late: Arc<Vec<AtomicU64>> = Arc::new((0..n).map(|_| AtomicU64::new(0)).collect());
    let (ended, mut all_ended) = mpsc::channel::<()>(1);

    let (cpu, start) = (process::cpu(), Instant::now());
    for i in 0..n {
        let (late, ended) = (late.clone(), ended.clone());
        spawn(async move {
            let length = Duration::from_millis(1 + 7919 * i as u64 % 1000);
            let due = Instant::now() + length;
            sleep(length).await;
            match Instant::now().checked_duration_since(due) {
                Some(by) => late[i].store(by.as_nanos() as u64, Relaxed),
                None => fail("a sleep was too short"),
            }
            drop(ended);
        });
    }
    drop(ended);
    check("words", all_ended.recv().await.is_some() as usize, 0);
    let wall = start.elapsed();
    let cpu = process::cpu() - cpu;
    let peak = process::peak();

    let mut late: Vec<u64> = late.iter().map(|late| late.load(Relaxed)).collect();
    vec![
        Figure("cpu", cpu.as_secs_f64(), "s"),
        Figure("wall", wall.as_secs_f64(), "s"),
        Figure("late-p99", percentile(&mut late, 99) as f64 / 1e6, "ms"),
        Figure("memory", peak as f64 / (1 << 20) as f64, "MiB"),
    ]
}

/// Sorts what it is given.
pub fn percentile(values: &mut [u64], p: usize) -> u64 {
    values.sort_unstable();
    values[(values.len() - 1) * p / 100]
}
