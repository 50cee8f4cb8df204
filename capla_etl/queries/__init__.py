"""Questions to a centre: found, written to its workbook, answered, declared as corrections."""
