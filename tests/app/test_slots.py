"""Slots: never more at once than there are, and none is given away while its thread is at work."""

from __future__ import annotations

import asyncio
import threading

import pytest

from kg.app.slots import BusyError, Slots


def test_who_finds_none_free_is_refused_until_one_is_given_back() -> None:
    async def story() -> None:
        slots = Slots(1)
        first = await slots.take()
        assert await first.call(lambda: 6 * 7, 60) == 42
        with pytest.raises(BusyError):
            await slots.take(0.01)
        first.release()
        (await slots.take(60)).release()
        assert slots.taken == 0
        slots.close()

    asyncio.run(story())


def test_a_call_that_was_given_up_keeps_its_slot_until_it_ends() -> None:
    async def story() -> None:
        slots, free, closed = Slots(1), threading.Event(), threading.Event()
        slot = await slots.take()
        with pytest.raises(TimeoutError):
            await slot.call(lambda: free.wait(60), 0.01)
        slot.release(closed.set)
        with pytest.raises(BusyError):
            await slots.take(0.05)
        assert not closed.is_set()
        free.set()
        (await slots.take(60)).release()
        assert closed.is_set()
        slots.close()

    asyncio.run(story())


def test_what_a_call_raises_reaches_the_caller() -> None:
    async def story() -> None:
        slots = Slots(1)
        slot = await slots.take()
        with pytest.raises(ZeroDivisionError):
            await slot.call(lambda: 1 // 0, 60)
        slot.release()
        assert slots.taken == 0
        slots.close()

    asyncio.run(story())
