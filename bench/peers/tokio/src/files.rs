// SPDX-License-Identifier: MIT

//! Files: many small ones read whole, and a large one from front to end. A regular file is read on
//! one of the runtime's threads for what blocks; the three system calls of a small one go there
//! together, with a buffer that comes back, which tokio::fs does not offer.

use crate::{check, fail, Figure};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Instant;
use tokio::task::{spawn, spawn_blocking};

fn directory() -> PathBuf {
    PathBuf::from(std::env::var_os("BENCH_FILES").unwrap_or_default())
}

/// The sum of the 64-bit words of what was read.
fn sum_words(bytes: &[u8]) -> u64 {
    let word = |b: &[u8]| u64::from_le_bytes(b.try_into().expect("8 bytes"));
    bytes.chunks_exact(8).map(word).fold(0, u64::wrapping_add)
}

/// The buffer has room for more than a file: a short read is the end.
fn read_whole(path: &Path, buffer: &mut [u8]) -> io::Result<usize> {
    File::open(path)?.read(buffer)
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> io::Result<T> + Send + 'static) -> T {
    match spawn_blocking(call).await.expect("a call") {
        Ok(value) => value,
        Err(error) => fail(error),
    }
}

pub async fn small(n: usize) -> Vec<Figure> {
    const IN_FLIGHT: usize = 64;
    const SIZE: usize = 4096;
    let next = Arc::new(AtomicUsize::new(0));
    let (mut bytes, mut sum) = (0, 0u64);

    let start = Instant::now();
    let tasks = [(); IN_FLIGHT].map(|_| {
        let (next, directory) = (next.clone(), directory());
        spawn(async move {
            let (mut bytes, mut sum) = (0, 0u64);
            let mut buffer = vec![0; 2 * SIZE];
            loop {
                let i = next.fetch_add(1, Relaxed);
                if i >= n {
                    return (bytes, sum);
                }
                let path = directory.join(i.to_string());
                let got;
                (buffer, got) = blocking(move || {
                    let got = read_whole(&path, &mut buffer)?;
                    Ok((buffer, got))
                })
                .await;
                bytes += got;
                sum = sum.wrapping_add(sum_words(&buffer[..got]));
            }
        })
    });
    for task in tasks {
        let (b, s) = task.await.expect("a task");
        bytes += b;
        sum = sum.wrapping_add(s);
    }
    let took = start.elapsed();
    check("bytes", bytes, n * SIZE);
    check("sum", sum as usize, (n * SIZE / 8).wrapping_mul(0x0101_0101_0101_0101));
    vec![Figure("", n as f64 / took.as_secs_f64() / 1e3, "k/s")]
}

/// Two pieces in flight for each core keep them copying while a task takes the one that is there.
pub async fn large(size: usize) -> Vec<Figure> {
    const PIECE: usize = 256 << 10;
    let file = Arc::new(blocking(|| File::open(directory().join("large"))).await);
    let next = Arc::new(AtomicUsize::new(0));
    let in_flight = 2 * std::thread::available_parallelism().map_or(1, |n| n.get());
    let (mut bytes, mut sum) = (0, 0u64);

    let start = Instant::now();
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let (file, next) = (file.clone(), next.clone());
            spawn(async move {
                let (mut bytes, mut sum) = (0, 0u64);
                let mut buffer = vec![0; PIECE];
                loop {
                    let at = next.fetch_add(PIECE, Relaxed);
                    if at >= size {
                        return (bytes, sum);
                    }
                    let file = file.clone();
                    buffer = blocking(move || {
                        file.read_exact_at(&mut buffer, at as u64)?;
                        Ok(buffer)
                    })
                    .await;
                    bytes += buffer.len();
                    sum = sum.wrapping_add(sum_words(&buffer[..8]));
                }
            })
        })
        .collect();
    for task in tasks {
        let (b, s) = task.await.expect("a task");
        bytes += b;
        sum = sum.wrapping_add(s);
    }
    let took = start.elapsed();
    check("bytes", bytes, (size + PIECE - 1) / PIECE * PIECE);
    check("sum", sum as usize, 0);
    vec![Figure("", size as f64 / took.as_secs_f64() / 1e9, "GB/s")]
}
