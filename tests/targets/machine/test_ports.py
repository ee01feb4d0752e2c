import socket
from pathlib import Path

from targets.machine.ports import free_ports, is_listening


def test_ports_are_free_and_all_different() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    for port in ports:
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_a_remembered_port_is_taken_again() -> None:
    remembered = free_ports(2)
    assert free_ports(3, preferred=remembered)[:2] == remembered
    assert free_ports(1, preferred=[None, *remembered]) == remembered[:1]


def test_a_remembered_port_that_somebody_took_is_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        chosen = free_ports(2, preferred=[port])
        assert len(chosen) == 2
        assert port not in chosen


def test_a_port_whose_last_connection_has_just_closed_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first is left in TIME_WAIT
        client.close()
    assert free_ports(1, preferred=[port]) == [port]


def test_a_listener_is_noticed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert is_listening(port)
    assert not is_listening(port)


def test_ports_are_none_of_those_of_outgoing_connections() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert all(not first <= port <= last for port in free_ports(50))
