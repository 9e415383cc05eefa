"""What repairs a worker that runs but gets no requests."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.units.cures import Cure, Patient, cure

SERVED = Patient(state="active", has_job=False, folder=True, serving=True, leaving=False, socket=True)
STATES = ("active", "reloading", "activating", "deactivating", "inactive", "failed")


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        pytest.param(SERVED, Cure.NOTHING, id="all is well"),
        pytest.param(replace(SERVED, serving=False), Cure.ADMIT, id="its file was removed"),
        pytest.param(replace(SERVED, serving=False, leaving=True), Cure.NOTHING, id="it leaves"),
        pytest.param(replace(SERVED, serving=False, has_job=True), Cure.NOTHING, id="it is to be stopped or restarted"),
        pytest.param(replace(SERVED, serving=False, socket=False), Cure.RESTART, id="all in its folder was removed"),
        pytest.param(replace(SERVED, socket=False), Cure.RESTART, id="only its socket was removed"),
        pytest.param(replace(SERVED, serving=False, folder=False), Cure.RESTART, id="its folder was removed"),
        pytest.param(replace(SERVED, folder=False), Cure.RESTART, id="somebody has unmounted it"),
    ],
)
def test_a_worker_that_runs(found: Patient, wanted: Cure) -> None:
    assert cure(found) is wanted


@given(
    st.builds(
        Patient,
        state=st.sampled_from(STATES),
        **{part: st.booleans() for part in ("has_job", "folder", "serving", "leaving", "socket")},
    )
)
def test_only_what_is_up_and_undisturbed_is_touched(found: Patient) -> None:
    """A worker that is starting has not passed its health check, and a worker that is stopping must
    get no requests."""
    if cure(found) is not Cure.NOTHING:
        assert found.state == "active"
        assert not found.has_job
        assert not found.leaving
