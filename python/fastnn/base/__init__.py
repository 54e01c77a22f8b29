"""The ground floor: what needs nothing else of fastnn but its errors and its table of names."""
