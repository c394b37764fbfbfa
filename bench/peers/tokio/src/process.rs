// SPDX-License-Identifier: MIT

//! What the kernel knows of this process: its memory, its CPU time, its cores.

use crate::fail;
use std::fs::read_to_string;
use std::mem::{size_of, zeroed};
use std::time::Duration;

pub fn resident() -> usize {
    let statm = read_to_string("/proc/self/statm").expect("/proc/self/statm");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());

    pages.expect("resident pages") * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize
}

pub fn peak() -> usize {
    let status = read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());

    kib.expect("VmHWM") * 1024
}

pub fn cpu() -> Duration {
    let mut usage: libc::rusage = unsafe { zeroed() };
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);

    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Those that this process may run on.
pub fn cores() -> Vec<usize> {
    unsafe {
        let mut allowed: libc::cpu_set_t = zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut allowed);
        (0..libc::CPU_SETSIZE as usize).filter(|core| libc::CPU_ISSET(*core, &allowed)).collect()
    }
}

/// Binds the calling thread.
pub fn bind(core: usize) {
    unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        libc::CPU_SET(core, &mut set);
        if libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) != 0 {
            fail(format_args!("core {core}: {}", std::io::Error::last_os_error()));
        }
    }
}
