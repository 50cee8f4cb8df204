"""Great Expectations: suites, their validation, Data Docs for data managers, and where each centre stands."""
