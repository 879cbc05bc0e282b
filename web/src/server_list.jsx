// A page of a long list that the server searches, sorts and cuts: flows, rules. What is searched, sorted and where the page
// begins stands in the address.

import { useParams, usePolled, useSurroundings } from "./hooks.js";
import { Problem, Search } from "./parts.jsx";
import { DataTable, Pages } from "./table.jsx";

const EVERY_MS = 2000;

/**
 * `what`: the API's word for the list; `one`: that for a line of it. `prepare`(answer) adds to an answer what the columns
 * want to know, `columns`(answer or null) are those of DataTable, which gets everything else.
 */
export function ServerList({ what, one, limit, columns, prepare = (answer) => answer, ...table }) {
  const { api } = useSurroundings();
  const [{ search = "", sort = "", offset = "0" }, setParams] = useParams();
  const first = Number(offset) || 0;
  const { data, error } = usePolled(
    async (signal) => prepare(await api.get(`/v1/${what}`, { search, sort, offset: first, limit }, signal)),
    EVERY_MS,
    [search, sort, first],
  );
  return (
    <>
      <div class="toolbar">
        <Search label={`Search ${what}`} value={search} onSearch={(text) => setParams({ search: text, offset: "" })} />
        {data && (
          <Pages
            what={what}
            offset={first}
            limit={limit}
            listed={data[what].length}
            total={data.total}
            onOffset={(to) => setParams({ offset: to || "" })}
          />
        )}
      </div>
      <Problem error={error} />
      <DataTable
        columns={columns(data)}
        rows={data?.[what] ?? []}
        sort={sort}
        onSort={(by) => setParams({ sort: by, offset: "" })}
        empty={emptyText(data, search, what, one)}
        {...table}
      />
    </>
  );
}

function emptyText(answer, search, what, one) {
  if (answer === null) return "Asking …";
  if (search) return `No ${one} has “${search}” in it.`;
  return answer.total > 0 ? `None of ${answer.total} ${what} moves now.` : `No ${what}.`;
}
