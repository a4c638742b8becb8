"""Give TokenVault a service's rows of a tenant for an export: those that an erasure would remove."""

from typing import Any

import grpc
from typing_extensions import override

from mailmesh.vault.v1 import tenant_rows_service_pb2 as pb
from mailmesh.vault.v1.export_service_pb2 import LeftOutColumn
from mailmesh.vault.v1.tenant_rows_service_pb2_grpc import (
    TenantRowsServiceServicer,
    add_TenantRowsServiceServicer_to_server,
)
from services.meshkit import db
from services.meshkit.exporting import Export, Place, TenantRows
from services.meshkit.ids import check_id
from services.meshkit.persons import Person
from services.meshkit.server import MeshServer


async def read_rows(rows: TenantRows, request: pb.ReadTenantRowsRequest) -> pb.ReadTenantRowsResponse:
    """Read a page of rows.

    Args:
        rows: The service's rows.
        request: The request; its place is one that an earlier answer gave.

    Raises:
        FieldInvalid: The tenant's id is none.
        StoreUnavailable: PostgreSQL cannot be reached.
    """
    place = Place(request.place.table, tuple(request.place.after))
    person = Person(request.address) if request.address else None
    page = await rows.page(check_id("tenant_id", request.tenant_id), place, person)
    left_out = [LeftOutColumn(column=name, reason=reason) for name, reason in sorted(page.left_out.items())]
    response = pb.ReadTenantRowsResponse(
        schema_version=rows.revision, table=page.table, rows=page.rows, left_out=left_out
    )
    if page.following is not None:
        response.next.table = page.following.table
        response.next.after.extend(page.following.after)
    return response


class TenantRowsServicer(TenantRowsServiceServicer):
    """Serves TokenVault.

    Args:
        rows: The service's rows.
    """

    def __init__(self, rows: TenantRows) -> None:
        self._rows = rows

    @override
    async def ReadTenantRows(
        self, request: pb.ReadTenantRowsRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.ReadTenantRowsResponse:
        return await read_rows(self._rows, request)


def add_tenant_rows(server: MeshServer, pool: db.Pool, export: Export) -> None:
    """Add the service to a server that is not started yet.

    Args:
        server: The server.
        pool: Connections to PostgreSQL, as the role that owns the schema.
        export: The schema's particulars.
    """
    server.add(
        add_TenantRowsServiceServicer_to_server,
        TenantRowsServicer(TenantRows(pool, export)),
        pb.DESCRIPTOR.services_by_name["TenantRowsService"],
    )
