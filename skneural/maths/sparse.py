"""Rows of sparse matrices (CSR) with sorted columns."""


def first_from(indices, low, high, column):
    """Place of the first entry of a column from `column` on, among those from `low` to below `high`: binary search."""
    while low < high:
        middle = (low + high) // 2
        if indices[middle] < column:
            low = middle + 1
        else:
            high = middle
    return low
