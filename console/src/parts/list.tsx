// A list that is read page by page.
import type { ReactNode } from "react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Button } from "react-aria-components";
import { Empty, Failed, Table } from "./show.js";

export interface Page<Item> {
  items: Item[];
  next: string;
}

export function usePages<Item>(key: unknown[], read: (token: string) => Promise<Page<Item>>, refetchInterval: number | false = false) {
  const query = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam }) => read(pageParam),
    initialPageParam: "",
    refetchInterval,
    getNextPageParam: (last) => last.next || undefined,
  });
  return { ...query, items: query.data?.pages.flatMap((page) => page.items) ?? [] };
}

export function List<Item>({ label, pages, columns, row, empty }: {
  label: string;
  pages: ReturnType<typeof usePages<Item>>;
  columns: string[];
  row: (item: Item) => { key: string; cells: ReactNode[] };
  empty: ReactNode;
}) {
  if (pages.isError) return <Failed error={pages.error} retry={() => void pages.refetch()} />;
  if (pages.isPending) return <p role="status">Reading…</p>;
  if (pages.items.length === 0) return <Empty>{empty}</Empty>;
  return (
    <>
      <Table label={label} columns={columns} rows={pages.items.map(row)} />
      {pages.hasNextPage && (
        <Button className="plain" isDisabled={pages.isFetchingNextPage} onPress={() => void pages.fetchNextPage()}>Show more</Button>
      )}
    </>
  );
}
