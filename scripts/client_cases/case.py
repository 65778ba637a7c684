"""A case is a line; the first wrong one ends the run."""


def case(name, is_right, seen=""):
    print(f"{'good' if is_right else 'WRONG'}  {name}  {seen}".rstrip(), flush=True)
    if not is_right:
        raise SystemExit(1)
