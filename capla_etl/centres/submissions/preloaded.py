"""What every worker needs, imported and computed once in the process that all workers are copied from.

Without it each centre would cost two seconds more.
"""

import pyarrow.parquet  # noqa: F401
import pyreadstat  # noqa: F401
import python_calamine  # noqa: F401

from capla_etl import fields
from capla_etl.centres.reading.formats import delimited, json_lines, parquet, statistical, workbook  # noqa: F401
from capla_etl.centres.spec import check  # noqa: F401
from capla_etl.centres.submissions import load  # noqa: F401
from capla_etl.fields.units import conversion

conversion(fields.fields()["platelets_10e9_per_l"], "10*9/dL")  # reads the table of units
