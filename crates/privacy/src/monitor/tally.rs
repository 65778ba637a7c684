//! What is remembered of one principal at one model: the last points, loosely, and a few counts.

use super::projection::{Point, distance};

/// Points that are kept: 32 KiB.
pub(super) const KEPT: usize = 256;
/// Distances are sorted into as many ranks among the honest ones.
pub(super) const RANKS: usize = 16;
/// How many points were kept when a distance was measured, in octaves: the more, the nearer is the nearest.
pub(super) const OCTAVES: usize = 6;
/// No distance counts before so many.
pub(super) const FIRST: usize = 8;
/// Counts are halved at as many queries, so that a long honest past hides nothing.
pub(super) const WINDOW: u32 = 512;

/// The points.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Kept {
    /// How many there were in all: it chooses which one makes room.
    pub(super) seen: u64,
    pub(super) points: Vec<Point>,
}

impl Kept {
    /// The distance to the nearest point, and the octave of how many there are; none while they are few.
    pub(super) fn nearest(&self, point: &Point) -> Option<(usize, f32)> {
        let nearest = || self.points.iter().map(|other| distance(point, other)).fold(f32::INFINITY, f32::min);
        octave(self.points.len()).map(|octave| (octave, nearest()))
    }

    /// Keeps a point, in place of any when there are enough.
    pub(super) fn put(&mut self, point: Point) {
        self.seen = self.seen.saturating_add(1);
        if self.points.len() < KEPT {
            self.points.push(point);
        } else if let Some(place) = self.points.get_mut((scattered(self.seen) % KEPT as u64) as usize) {
            *place = point;
        }
    }

    /// Keeps some of both, as many of each as its share is.
    pub(super) fn merge(&mut self, other: &Self) {
        self.seen = self.seen.saturating_add(other.seen);
        self.points.extend(&other.points);
        while self.points.len() > KEPT {
            let count = self.points.len() as u64;
            self.points.swap_remove((scattered(self.seen ^ count << 32) % count) as usize);
        }
    }
}

fn octave(points: usize) -> Option<usize> {
    (points >= FIRST).then(|| ((points / FIRST).ilog2() as usize).min(OCTAVES - 1))
}

/// A number that looks random (splitmix64).
fn scattered(seed: u64) -> u64 {
    let a = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let b = (a ^ a >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let c = (b ^ b >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    c ^ c >> 31
}

/// The counts, of the last few hundred queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// How many queries had a distance of each rank among the honest ones; repeats have none.
    pub(super) ranks: [u32; RANKS],
    /// Queries that were the same as another, or all but.
    pub(super) repeats: u32,
    /// Answers that were close to a boundary between two classes.
    pub(super) close: u32,
    /// Answers that were not.
    pub(super) clear: u32,
}

impl Counts {
    pub(super) fn rank(&mut self, rank: usize) {
        self.ranks.get_mut(rank).into_iter().for_each(|count| *count += 1);
        self.age();
    }

    pub(super) fn repeat(&mut self) {
        self.repeats += 1;
        self.age();
    }

    pub(super) fn answer(&mut self, close: bool) {
        *(if close { &mut self.close } else { &mut self.clear }) += 1;
        self.age();
    }

    /// Distances that have a rank.
    pub(super) fn ranked(&self) -> u32 {
        self.ranks.iter().sum()
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.ranks.iter_mut().zip(other.ranks).for_each(|(count, other)| *count += other);
        self.repeats += other.repeats;
        self.close += other.close;
        self.clear += other.clear;
        self.age();
    }

    fn age(&mut self) {
        while self.ranked() + self.repeats >= WINDOW {
            self.ranks.iter_mut().chain([&mut self.repeats]).for_each(|count| *count /= 2);
        }
        while self.close + self.clear >= WINDOW {
            self.close /= 2;
            self.clear /= 2;
        }
    }
}
