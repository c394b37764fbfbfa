// SPDX-License-Identifier: MIT

//! Tokio's part in the bench suite: tasks, its channels, select!, CancellationToken, time, net, and
//! threads for files. The workloads and what is printed are defined in bench/README.md.
//! BENCH_THREADS=1 makes it tokio-1 (current_thread), any other number a multi_thread runtime of
//! so many workers; without it there are as many as cores.

mod chan;
mod echo;
mod files;
mod limiter;
mod post;
mod process;
mod sched;
mod sem;
mod sync;
mod time;
mod token;

use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// One line that is printed; the name is what follows the workload's, if anything does.
pub struct Figure(&'static str, f64, &'static str);

/// How many operations there were, and how long they took.
pub type Timed = (usize, Duration);

#[derive(PartialEq)]
enum Count {
    Scaled, // follows BENCH_SCALE
    Fixed,
    Cold, // scaled, without a warm-up: what that left behind would be used again
}
use Count::*;

const WORKLOADS: &[(&str, usize, Count)] = &[
    ("yield", 1_000_000, Scaled),
    ("spawn-1000", 1_000, Scaled),
    ("spawn-100000", 10, Scaled),
    ("chan-0", 2_000_000, Scaled),
    ("chan-1024", 2_000_000, Scaled),
    ("select-0", 500_000, Scaled),
    ("select-16", 500_000, Scaled),
    ("pipeline-0", 1_000_000, Scaled),
    ("pipeline-64", 1_000_000, Scaled),
    ("pool-64", 1_000_000, Scaled),
    ("sem-contended", 1_000, Scaled),
    ("sem-free", 3_000_000, Scaled),
    ("limiter-wait-1000", 1_000, Scaled),
    ("limiter-wait-10000", 1_000, Scaled),
    ("limiter-wait-100000", 1_000, Scaled),
    ("ctx-cancel", 2_000_000, Scaled),
    ("cancel-100000", 100_000, Fixed),
    ("timer-0", 1_000_000, Scaled),
    ("timer-1000", 1_000_000, Scaled),
    ("timer-100000", 1_000_000, Scaled),
    ("sleeps", 1_000_000, Cold),
    ("memory", 1_000_000, Cold),
    ("post-trip", 20_000, Scaled),
    ("post-flow", 5_000_000, Scaled),
    ("files", 50_000, Scaled),
    ("read", 1 << 30, Fixed),
    ("loop", 1_000, Scaled),
];

async fn work(name: &'static str, n: usize) -> Vec<Figure> {
    match name {
        "yield" => each(sched::yields(n).await),
        "spawn-1000" => each(sched::spawns(1_000, n).await),
        "spawn-100000" => each(sched::spawns(100_000, n).await),
        "chan-0" => each(chan::channel(1, n).await),
        "chan-1024" => each(chan::channel(1024, n).await),
        "select-0" => each(chan::selects(1, n).await),
        "select-16" => each(chan::selects(16, n).await),
        "pipeline-0" => each(chan::pipeline(1, n).await),
        "pipeline-64" => each(chan::pipeline(64, n).await),
        "pool-64" => each(chan::pool(n).await),
        "sem-contended" => each(sem::contended(n).await),
        "sem-free" => each(sem::free(n).await),
        "limiter-wait-1000" => limiter::wait(1_000, n).await,
        "limiter-wait-10000" => limiter::wait(10_000, n).await,
        "limiter-wait-100000" => limiter::wait(100_000, n).await,
        "ctx-cancel" => each(token::children(n).await),
        "cancel-100000" => each(token::cancel_all(n).await),
        "timer-0" => each(time::timers(0, n).await),
        "timer-1000" => each(time::timers(1_000, n).await),
        "timer-100000" => each(time::timers(100_000, n).await),
        "sleeps" => time::sleeps(n).await,
        "memory" => sync::memory(n).await,
        "post-trip" => post::trip(n),
        "post-flow" => post::flow(n),
        "files" => files::small(n).await,
        "read" => files::large(n).await,
        "loop" => sched::runtimes(n),
        _ => fail(format_args!("no workload {name}")),
    }
}

/// The figure of most workloads: ns for an operation.
fn each((ops, took): Timed) -> Vec<Figure> {
    vec![Figure("", took.as_nanos() as f64 / ops as f64, "ns")]
}

/// Files that are cached need few threads for what blocks: 4 a core read them more than twice as
/// fast as the 512 that may be started otherwise.
pub fn runtime() -> Runtime {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = std::env::var("BENCH_THREADS").ok().and_then(|s| s.parse().ok());
    let mut builder = match threads {
        Some(1) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if let Some(n) = threads {
        builder.worker_threads(n);
    }
    builder.max_blocking_threads(4 * cores).enable_all().build().expect("a runtime")
}

fn scaled(n: usize) -> usize {
    match std::env::var("BENCH_SCALE").ok().and_then(|s| s.parse::<f64>().ok()) {
        Some(scale) => ((n as f64 * scale) as usize).max(1),
        None => n,
    }
}

async fn run(name: &'static str, count: &Count, n: usize) -> Vec<Figure> {
    let n = if *count == Fixed { n } else { scaled(n) };

    if *count != Cold {
        work(name, (n + 9) / 10).await;
    }
    work(name, n).await
}

pub fn fail(why: impl std::fmt::Display) -> ! {
    eprintln!("tokio: {why}");
    std::process::exit(1)
}

pub fn check(what: &str, got: usize, want: usize) {
    if got != want {
        fail(format_args!("{what} is {got} and not {want}"));
    }
}

/// What is run is spawned, since in a multi_thread runtime block_on itself is not on a worker.
fn main() {
    let name = match std::env::args().nth(1) {
        Some(name) => name,
        None => {
            WORKLOADS.iter().for_each(|w| println!("{}", w.0));
            println!("echo");
            return;
        }
    };
    if name == "echo" {
        runtime().block_on(async { tokio::spawn(echo::serve()).await.expect("echo") });
        return;
    }
    let (name, n, count) = match WORKLOADS.iter().find(|w| w.0 == name) {
        Some(w) => w,
        None => fail(format_args!("no workload {name}")),
    };
    let runtime = runtime();
    let figures = runtime.block_on(async { tokio::spawn(run(name, count, *n)).await });
    for Figure(more, value, unit) in figures.expect("a workload") {
        let space = if more.is_empty() { "" } else { " " };
        println!("{name}{space}{more}\t{value:.6}\t{unit}");
    }
}
