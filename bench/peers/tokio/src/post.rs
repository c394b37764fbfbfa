// SPDX-License-Identifier: MIT

//! Messages between threads, each with a current_thread runtime of its own and bound to a core.

use crate::chan::sum_to;
use crate::{check, process, Figure};
use std::future::Future;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::sync::mpsc;

fn on_core<T, F>(core: usize, main: F) -> JoinHandle<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    thread::spawn(move || {
        process::bind(core);
        Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(main)
    })
}

fn trip_between(n: usize, here: usize, there: usize) -> Duration {
    let (ping, mut pinged) = mpsc::unbounded_channel();
    let (pong, mut ponged) = mpsc::unbounded_channel();

    let other = on_core(there, async move {
        while let Some(v) = pinged.recv().await {
            pong.send(v + 1).expect("a receiver");
        }
    });
    let took = on_core(here, async move {
        let start = Instant::now();
        for i in 0..n {
            ping.send(i).expect("a receiver");
            check("answer", ponged.recv().await.expect("an answer"), i + 1);
        }
        start.elapsed()
    })
    .join()
    .expect("a thread");
    other.join().expect("a thread");
    took
}

pub fn trip(n: usize) -> Vec<Figure> {
    let cores = process::cores();
    let us = |took: Duration| took.as_secs_f64() * 1e6 / n as f64;
    let mut figures = vec![Figure("one-core", us(trip_between(n, cores[0], cores[0])), "us")];

    if cores.len() > 1 {
        figures.push(Figure("two-cores", us(trip_between(n, cores[0], cores[1])), "us"));
    }
    figures
}

pub fn flow(n: usize) -> Vec<Figure> {
    const ON_THE_WAY: usize = 4096;
    let cores = process::cores();
    let (tx, mut rx) = mpsc::channel(ON_THE_WAY);

    let start = Instant::now();
    let receiver = on_core(cores[0], async move {
        let mut sum = 0;
        while let Some(v) = rx.recv().await {
            sum += v;
        }
        sum
    });
    let sender = on_core(cores[cores.len() - 1], async move {
        for i in 1..=n {
            tx.send(i).await.expect("a receiver");
        }
    });
    let sum = receiver.join().expect("a thread");
    let took = start.elapsed();
    sender.join().expect("a thread");
    check("sum", sum, sum_to(n));
    vec![Figure("", n as f64 / took.as_secs_f64() / 1e6, "M/s")]
}
