from job.cluster import interface


def test_loopback_is_found_by_its_address():
    name = interface.interface_of("127.0.0.1")
    assert name.startswith("lo")


def test_nobody_has_the_address():
    assert interface.interface_of("192.0.2.77") == ""
    assert interface.interface_of("2001:db8::77") == ""


def test_addresses_of_version_6(tmp_path):
    table = tmp_path / "if_inet6"
    table.write_text(
        "fd000000000000000000000000000002 04 40 00 80     eth0\n00000000000000000000000000000001 01 80 10 80       lo\n"
    )
    assert interface._addresses_6("eth0", table) == [bytes.fromhex("fd000000000000000000000000000002")]
    assert interface._addresses_6("lo", tmp_path / "none") == []
