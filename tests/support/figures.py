"""``python -m tests.support.figures``: the measured house figures beside their limits, for `make check`."""

from tests.support import house

LIMITS = {
    "longest file": house.MAX_FILE_LINES,
    "median function": house.MAX_MEDIAN_LINES,
    "95 % of functions": house.MAX_P95_LINES,
    "longest function": house.MAX_FUNCTION_LINES,
    "most parameters": house.MAX_PARAMETERS,
    "most methods": house.MAX_METHODS,
}


def main() -> None:
    measured = house.figures(house.package_sources())
    print(f"house: {measured['files']} files, {measured['lines']} lines, {measured['functions']} functions in job/")
    for name, limit in LIMITS.items():
        print(f"  {name:<18} {measured[name]:>5g}   limit {limit}")


if __name__ == "__main__":
    main()
