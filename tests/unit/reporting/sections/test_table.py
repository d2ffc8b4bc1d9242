from job.reporting.sections.table import Table


def test_a_table_without_rows_is_left_out():
    assert not Table("Nothing", ("A",), [])
    assert Table("Something", ("A",), [("a",)])
