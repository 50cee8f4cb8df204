"""Assets and checks: each reads, calls one plain function, writes, and shows what a person wants to see. No study logic here."""
