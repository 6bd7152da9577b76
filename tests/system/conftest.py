"""Fixtures of the system tests: a lab for each test, hugepages for those that ask, and a last look
for anything that was left behind."""
import os
import pathlib

import pytest

import lab as lab_module


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the system tests need root (namespaces, taps)", returncode=2)
    for binary in (lab_module.VXPLANE, lab_module.VXCTL):
        if not binary.exists():
            pytest.exit(f"{binary} is not built (VXPLANE_BUILD names the build folder)", returncode=2)


@pytest.fixture
def lab(request):
    made = lab_module.Lab(request.node.name)
    yield made
    failed = getattr(request.node, "call_report", None) and request.node.call_report.failed
    if failed:
        for log in sorted(made.directory.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}")
    made.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.call_report = outcome.get_result()


@pytest.fixture
def hugepages():
    """Reserves 2 MB hugepages for one test and gives the old number back. Skips where none can be had."""
    setting = pathlib.Path("/proc/sys/vm/nr_hugepages")
    before = setting.read_text().strip()
    mounted = "hugetlbfs" in pathlib.Path("/proc/mounts").read_text()
    setting.write_text(str(int(before) + 192))
    try:
        if int(setting.read_text()) < int(before) + 192:
            pytest.skip("the kernel has no 192 free hugepages to give")
        if not mounted:
            os.makedirs("/dev/hugepages", exist_ok=True)
            lab_module.sh("mount -t hugetlbfs none /dev/hugepages")
        yield 192
    finally:
        if not mounted:
            lab_module.sh("umount /dev/hugepages", check=False)
        setting.write_text(before)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_over():
    yield
    left = lab_module.leftovers()
    for name in left:
        lab_module.sh(f"ip netns del {name}", check=False)
    assert not left, f"namespaces left over: {left}"
