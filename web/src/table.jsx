// Tables that are walked with arrow keys: one row can take the focus by Tab, arrows move it, Enter opens.
//
// A column: {key, title, cell(row), align: "right" for numbers, wide: true for what a narrow screen leaves out, sort: the
// API's word for this order, mono: true for addresses and rules, grow: true for the one that takes the room}.

import { useRef, useState } from "preact/hooks";

import { rowAfter } from "./keys.js";

export function DataTable({ label, columns, rows, keyOf, onOpen, openKey, detail, sort, onSort, empty = "Nothing." }) {
  const [focused, setFocused] = useState(null);
  const body = useRef(null);
  const keys = rows.map(keyOf);
  const at = Math.max(0, keys.indexOf(focused));

  const onKeyDown = (event) => {
    if (event.target.tagName !== "TR" || event.ctrlKey || event.altKey || event.metaKey) return;
    // A key that is held comes faster than the page is drawn: the document knows where the focus is, and is told at once.
    const shown = [...body.current.querySelectorAll(":scope > tr:not(.detail)")];
    const here = shown.indexOf(event.target);
    const to = rowAfter(event.key, here, shown.length);
    if (to !== null) {
      shown[to].focus();
    } else if (event.key === "Enter" && onOpen && rows[here]) {
      onOpen(rows[here]);
    } else {
      return;
    }
    event.preventDefault();
  };
  return (
    <div class="table-frame">
      <table aria-label={label}>
        <thead>
          <tr>
            {columns.map((column) => (
              <Heading key={column.key} column={column} sort={sort} onSort={onSort} />
            ))}
          </tr>
        </thead>
        <tbody ref={body} onKeyDown={onKeyDown}>
          {rows.map((row, i) => {
            const key = keys[i];
            const isOpen = openKey !== undefined && key === openKey;
            return [
              <tr
                key={key}
                tabIndex={i === at ? 0 : -1}
                class={onOpen ? "opens" : undefined}
                aria-expanded={detail ? isOpen : undefined}
                onFocus={() => setFocused(key)}
                onClick={(event) =>
                  onOpen && !event.target.closest("a, button, input") && !getSelection().toString() && onOpen(row)
                }
              >
                {columns.map((column) => (
                  <td key={column.key} class={classOf(column)} data-column={column.key}>
                    {column.cell(row)}
                  </td>
                ))}
              </tr>,
              isOpen && detail ? (
                <tr key={`${key} detail`} class="detail">
                  <td colSpan={columns.length}>{detail(row)}</td>
                </tr>
              ) : null,
            ];
          })}
        </tbody>
      </table>
      {rows.length === 0 && <p class="empty">{empty}</p>}
    </div>
  );
}

const classOf = ({ align, wide, mono, grow }) =>
  [align === "right" && "number", wide && "wide-only", mono && "mono", grow && "grow"].filter(Boolean).join(" ") ||
  undefined;

function Heading({ column, sort, onSort }) {
  if (!column.sort || !onSort)
    return (
      <th scope="col" class={classOf(column)}>
        {column.title}
      </th>
    );
  const isSorted = sort === column.sort;
  return (
    <th scope="col" class={classOf(column)} aria-sort={isSorted ? "descending" : "none"}>
      <button
        type="button"
        class="sort"
        onClick={() => onSort(isSorted ? "" : column.sort)}
        title={isSorted ? "in the order they come in" : "the largest first"}
      >
        {column.title}
        <span class="arrow" aria-hidden="true">
          {isSorted ? "▼" : "▽"}
        </span>
      </button>
    </th>
  );
}

/** "1–100 of 1,234" with ways to the neighbours. */
export function Pages({ offset, limit, listed, total, onOffset, what }) {
  const first = listed > 0 ? offset + 1 : 0;
  return (
    <nav class="pages" aria-label={`pages of ${what}`}>
      <span>
        {first.toLocaleString("en")}–{(offset + listed).toLocaleString("en")} of {total.toLocaleString("en")} {what}
      </span>
      <button type="button" disabled={offset === 0} onClick={() => onOffset(Math.max(0, offset - limit))}>
        ← back
      </button>
      <button type="button" disabled={offset + listed >= total} onClick={() => onOffset(offset + limit)}>
        on →
      </button>
    </nav>
  );
}
