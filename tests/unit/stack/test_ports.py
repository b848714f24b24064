import socket
from pathlib import Path

import pytest

from limoflow.errors import StackError
from limoflow.stack import ports
from limoflow.stack.ports import PortReservation, free_ports, is_free


def test_ports_are_distinct_and_outside_the_ephemeral_range() -> None:
    lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found = free_ports(20)
    assert len(set(found)) == 20
    assert all(1024 < port < lowest_ephemeral for port in found)


def test_a_held_port_cannot_be_taken_until_it_is_released() -> None:
    with PortReservation(2) as reservation:
        assert not any(is_free(port) for port in reservation.ports)
    assert all(is_free(port) for port in reservation.ports)


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_too_few_free_ports_are_an_error_and_none_stays_held(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = free_ports(3)
    monkeypatch.setattr(ports, "_candidates", lambda attempts: list(taken))
    with pytest.raises(StackError, match="only 3 of 4"):
        PortReservation(4)
    assert all(is_free(port) for port in taken)


@pytest.mark.parametrize("text", ["", "1024 60999", "none"])
def test_where_the_kernel_leaves_no_room_below_its_range_it_chooses_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    setting = tmp_path / "range"
    setting.write_text(text)
    monkeypatch.setattr(ports, "_EPHEMERAL_RANGE", setting)
    assert len(set(free_ports(3))) == 3
