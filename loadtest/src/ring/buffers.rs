//! Receive buffers that belong to the ring and not to connections: the kernel takes one when
//! octets come, so that an idle connection costs none.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    io,
    sync::atomic::{AtomicU16, Ordering},
};

use io_uring::types::BufRingEntry;

use super::kernel::Kernel;

/// Octets of one buffer.
pub const BUFFER: usize = 16 * 1024;
/// Buffers of a ring: few, so that they stay in the processor's cache. A power of two.
const BUFFERS: u16 = 256;
pub const GROUP: u16 = 0;
const PAGE: usize = 4096;

pub struct Buffers {
    /// The kernel's list of free buffers.
    list: *mut BufRingEntry,
    octets: *mut u8,
    tail: u16,
}

impl Buffers {
    pub fn new(kernel: &Kernel) -> io::Result<Buffers> {
        let (list, octets) = (zeroed(list_layout()).cast(), zeroed(octets_layout()));
        let mut buffers = Buffers { list, octets, tail: 0 };
        // SAFETY: the list is page-aligned, zeroed, of BUFFERS entries, and is freed only when
        // nothing is under way on the ring any more; else it is leaked.
        unsafe { kernel.submitter().register_buf_ring(list as u64, BUFFERS, GROUP)? };
        (0..BUFFERS).for_each(|number| buffers.give_back(number));
        Ok(buffers)
    }

    /// The first `octets` of the buffer that a completion named.
    pub fn filled(&self, number: u16, octets: u32) -> &[u8] {
        let octets = (octets as usize).min(BUFFER);
        assert!(number < BUFFERS, "the kernel names its own buffers");
        // SAFETY: the buffer was taken off the list by the kernel, which writes to it no more
        // until it is given back; all of it was initialised by zeros.
        unsafe { std::slice::from_raw_parts(self.octets.add(usize::from(number) * BUFFER), octets) }
    }

    /// Puts a buffer back on the kernel's list.
    pub fn give_back(&mut self, number: u16) {
        let place = usize::from(self.tail & (BUFFERS - 1));
        // SAFETY: the place is within the list; the kernel reads it only after the tail moved.
        unsafe {
            let entry = &mut *self.list.add(place);
            entry.set_addr(self.octets.add(usize::from(number) * BUFFER) as u64);
            entry.set_len(BUFFER as u32);
            entry.set_bid(number);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in the list's first entry, is 2-aligned, and only this thread
        // writes to it; the kernel reads it atomically.
        unsafe {
            let tail = BufRingEntry::tail(self.list).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }

    /// Frees the memory. Only when nothing is under way on the ring.
    pub fn free(self) {
        // SAFETY: allocated in `new` with these layouts; the ring uses them no more.
        unsafe {
            dealloc(self.list.cast(), list_layout());
            dealloc(self.octets, octets_layout());
        }
    }
}

fn list_layout() -> Layout {
    Layout::from_size_align(usize::from(BUFFERS) * size_of::<BufRingEntry>(), PAGE)
        .expect("constants make a valid layout")
}

fn octets_layout() -> Layout {
    Layout::from_size_align(usize::from(BUFFERS) * BUFFER, PAGE)
        .expect("constants make a valid layout")
}

fn zeroed(layout: Layout) -> *mut u8 {
    // SAFETY: the layouts above are not empty.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    memory
}
