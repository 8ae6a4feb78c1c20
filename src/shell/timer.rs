//! The core's alarm clock: one task that sleeps until the brain wants to be woken.

use std::{pin::Pin, rc::Rc, task::Poll};

use tokio::time::{self, Sleep};

use super::{clock, core::Core};
use crate::{limits::WAKE_MIN, relay::Input, time::Instant};

pub async fn run(core: Rc<Core>) {
    let mut sleep = Box::pin(time::sleep(WAKE_MIN));
    loop {
        due(&core, &mut sleep).await;
        core.feed(Input::Wake);
    }
}

/// Waits until the instant that is wanted has come. An alarm that moves earlier re-arms the
/// sleep; one that moves later, as deadlines mostly do, costs nothing until the sleep ends.
async fn due(core: &Core, sleep: &mut Pin<Box<Sleep>>) {
    let mut armed_to: Option<Instant> = None;
    std::future::poll_fn(|context| {
        loop {
            let mut alarm = core.alarm().borrow_mut();
            if !alarm.task.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
                alarm.task = Some(context.waker().clone());
            }
            let Some(wanted) = alarm.wanted else {
                alarm.armed = None;
                return Poll::Pending;
            };
            if armed_to.is_none_or(|armed| wanted < armed) {
                let wait = wanted.since(clock::now().instant).max(WAKE_MIN);
                sleep.as_mut().reset(time::Instant::now() + wait);
                armed_to = Some(wanted);
            }
            alarm.armed = armed_to;
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if wanted <= clock::now().instant {
                alarm.armed = None;
                return Poll::Ready(());
            }
            // It has moved later meanwhile, or the sleep ended a hair too soon.
            armed_to = None;
        }
    })
    .await;
}
