"""Dagster's webserver, guarded like the published pages: ``python -m capla_etl.commands.webserver [its options]``.

It is ``dagster-webserver`` but for two points at which its server is made to be extended: the middleware, and the rules
by which GraphQL is validated.
"""

from collections.abc import Collection

import dagster_webserver.app
import dagster_webserver.cli
from dagster_webserver.webserver import DagsterWebserver
from graphql import ASTValidationRule, GraphQLError, OperationDefinitionNode, OperationType
from starlette.middleware import Middleware

from capla_etl.commands.serving import guard


class NoMutation(ASTValidationRule):
    """Refuse every mutation. Dagster's read-only mode lets some pass, such as a sensor's test evaluation."""

    def enter_operation_definition(self, node: OperationDefinitionNode, *_) -> None:
        """Refuse an operation that is a mutation."""
        if node.operation is OperationType.MUTATION:
            self.report_error(GraphQLError("Refused: this server is read-only.", node))


class Guarded(DagsterWebserver):
    """Dagster's webserver for this machine's own pages, and without mutations where it is read-only."""

    def build_middleware(self) -> list[Middleware]:
        """Who may ask, before all else."""
        return [*guard(), *super().build_middleware()]

    def build_graphql_validation_rules(self) -> Collection[type[ASTValidationRule]]:
        """What may be asked."""
        rules = super().build_graphql_validation_rules()
        return [*rules, NoMutation] if self._process_context.read_only else rules


if __name__ == "__main__":
    dagster_webserver.app.DagsterWebserver = Guarded
    dagster_webserver.cli.main()
