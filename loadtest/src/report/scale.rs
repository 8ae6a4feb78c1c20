//! Where a value lies along an axis, and which values deserve a tick.

/// Ticks a linear axis is stretched to end on.
const INTERVALS: f64 = 5.0;
/// The end of the percentile axis: the last percentile that is told.
const LAST_PERCENTILE: f64 = 99.99;
/// Axes end below this, so that no arithmetic on them can leave the finite numbers.
const LARGEST: f64 = 1e15;
/// A logarithmic axis begins no lower than this.
const SMALLEST: f64 = 1e-3;
/// The digits that are ticks of a logarithmic axis: as many of them as there is room for.
const DIGITS: [&[f64]; 2] = [&[1.0, 2.0, 5.0], &[1.0]];

#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    Linear {
        from: f64,
        to: f64,
    },
    Log {
        from: f64,
        to: f64,
    },
    /// Each nine as wide as the one before: 90, 99, 99.9, 99.99.
    Percentile,
    /// These values at equal distances, whatever lies between.
    Steps(Vec<f64>),
}

impl Scale {
    /// Linear from zero to a round number not below the largest value.
    pub fn from_zero(values: impl IntoIterator<Item = f64>) -> Scale {
        let top = values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max);
        let top = if top > 0.0 { top.min(LARGEST) } else { 1.0 };
        let step = round_step(top / INTERVALS);
        Scale::Linear { from: 0.0, to: (top / step).ceil() * step }
    }

    /// Linear and symmetric about zero.
    pub fn around_zero(values: impl IntoIterator<Item = f64>) -> Scale {
        match Scale::from_zero(values.into_iter().map(f64::abs)) {
            Scale::Linear { to, .. } => Scale::Linear { from: -to, to },
            other => other,
        }
    }

    /// Logarithmic, between the round numbers (1, 2, 5) that enclose the positive values.
    pub fn log(values: impl IntoIterator<Item = f64>) -> Scale {
        let positive = values.into_iter().filter(|value| value.is_finite() && *value > 0.0);
        let (low, high) = positive.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), value| {
            (low.min(value), high.max(value))
        });
        if high == 0.0 {
            return Scale::Log { from: 1.0, to: 10.0 };
        }
        let from = round_below(low.clamp(SMALLEST, LARGEST));
        let to = round_above(high.clamp(SMALLEST, LARGEST));
        Scale::Log { from, to: if to > from { to } else { from * 10.0 } }
    }

    pub fn steps(values: impl IntoIterator<Item = f64>) -> Scale {
        let mut steps: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        steps.sort_by(f64::total_cmp);
        steps.dedup();
        Scale::Steps(steps)
    }

    /// From 0 at the axis' beginning to 1 at its end; what lies beyond is put on the end.
    pub fn place(&self, value: f64) -> f64 {
        let place = match self {
            Scale::Linear { from, to } => (value - from) / (to - from),
            Scale::Log { from, to } if value > 0.0 => (value / from).ln() / (to / from).ln(),
            Scale::Log { .. } => 0.0,
            Scale::Percentile => nines(value) / nines(LAST_PERCENTILE),
            Scale::Steps(steps) if steps.len() > 1 => {
                steps.partition_point(|step| *step < value) as f64 / (steps.len() - 1) as f64
            }
            Scale::Steps(_) => 0.5,
        };
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Not many more than `most` values to write beside the axis, ascending.
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        match self {
            Scale::Linear { from, to } => linear_ticks(*from, *to, most),
            Scale::Log { from, to } => log_ticks(*from, *to, most),
            Scale::Percentile => vec![0.0, 50.0, 90.0, 99.0, 99.9, 99.99],
            Scale::Steps(steps) => {
                steps.iter().copied().step_by(steps.len().div_ceil(most.max(1)).max(1)).collect()
            }
        }
    }
}

fn linear_ticks(from: f64, to: f64, most: usize) -> Vec<f64> {
    let step = round_step((to - from) / most.max(1) as f64);
    let (first, last) = ((from / step).ceil() as i64, (to / step + 1e-9).floor() as i64);
    (first..=last).map(|count| count as f64 * step).collect()
}

fn log_ticks(from: f64, to: f64, most: usize) -> Vec<f64> {
    let decades = from.log10().floor() as i32..=to.log10().ceil() as i32;
    let within = |tick: &f64| *tick > from * 0.999 && *tick < to * 1.001;
    let ticks_of = |digits: &[f64]| -> Vec<f64> {
        let decades = decades.clone().map(|decade| 10f64.powi(decade));
        let ticks = decades.flat_map(|power| digits.iter().map(move |digit| digit * power));
        ticks.filter(within).collect()
    };
    let [fine, coarse] = DIGITS.map(ticks_of);
    let ticks = if fine.len() <= most { fine } else { coarse };
    let every = ticks.len().div_ceil(most.max(2)).max(1);
    ticks.into_iter().step_by(every).collect()
}

/// The number of nines, a real number: 1 for 90, 2 for 99.
fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile.clamp(0.0, LAST_PERCENTILE) / 100.0).log10()
}

/// The least of 1, 2, 2.5 or 5 times a power of ten that is not below the step.
fn round_step(step: f64) -> f64 {
    if !(step.is_finite() && step > 0.0) {
        return 1.0;
    }
    let power = 10f64.powf(step.log10().floor());
    let digits = [1.0, 2.0, 2.5, 5.0, 10.0];
    let digit = digits.into_iter().find(|digit| digit * power >= step * 0.999_999);
    digit.unwrap_or(10.0) * power
}

fn round_below(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let digit = [5.0, 2.0].into_iter().find(|digit| digit * power <= value);
    digit.unwrap_or(1.0) * power
}

fn round_above(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= value);
    digit.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_axes_end_on_round_numbers() {
        for (top, to) in [(7_120.0, 8_000.0), (98.0, 100.0), (0.03, 0.03), (0.0, 1.0)] {
            let Scale::Linear { from, to: end } = Scale::from_zero([1e-9, top, f64::NAN]) else {
                panic!("not linear")
            };
            assert_eq!(from, 0.0);
            if top > 0.0 {
                assert!((end - to).abs() < 1e-9, "{top}: {end}");
            }
        }
        assert_eq!(Scale::from_zero([]), Scale::Linear { from: 0.0, to: 1.0 });
        let ticks = Scale::from_zero([7_120.0]).ticks(5);
        assert_eq!(ticks, [0.0, 2_000.0, 4_000.0, 6_000.0, 8_000.0]);
        assert_eq!(Scale::around_zero([-8.0, 3.0]).ticks(4), [-5.0, 0.0, 5.0]);
    }

    #[test]
    fn logarithmic_axes_enclose_the_values() {
        let scale = Scale::log([0.0, 130.0, 4_100.0, f64::NAN]);
        assert_eq!(scale, Scale::Log { from: 100.0, to: 5_000.0 });
        assert_eq!(scale.ticks(8), [100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0]);
        assert_eq!(scale.place(0.0), 0.0);
        assert_eq!(scale.place(1e9), 1.0);
        assert_eq!(Scale::log([1.0, 1e6]).ticks(8).len(), 7);
        assert_eq!(Scale::log([]), Scale::Log { from: 1.0, to: 10.0 });
        assert_eq!(Scale::log([100.0]), Scale::Log { from: 100.0, to: 1_000.0 });
    }

    #[test]
    fn each_nine_is_as_wide_as_the_last() {
        let places: Vec<f64> =
            [0.0, 90.0, 99.0, 99.9, 99.99].map(|p| Scale::Percentile.place(p)).into();
        for (index, place) in places.iter().enumerate() {
            assert!((place - index as f64 / 4.0).abs() < 1e-9, "{places:?}");
        }
        assert_eq!(Scale::Percentile.place(100.0), 1.0);
    }

    #[test]
    fn steps_stand_at_equal_distances() {
        let scale = Scale::steps([100_000.0, 0.0, 10_000.0, 0.0]);
        assert_eq!(scale.ticks(9), [0.0, 10_000.0, 100_000.0]);
        assert_eq!(scale.place(10_000.0), 0.5);
        assert_eq!(Scale::steps([4.0]).place(4.0), 0.5);
        assert!(Scale::steps([]).ticks(3).is_empty());
    }

    #[test]
    fn no_number_of_a_file_breaks_an_axis() {
        for value in [f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, -1.0, 1e308] {
            for scale in [Scale::from_zero([value]), Scale::log([value, 1.0])] {
                assert!(scale.ticks(6).len() < 40, "{scale:?}");
                assert!((0.0..=1.0).contains(&scale.place(value)), "{scale:?}");
            }
        }
    }
}
