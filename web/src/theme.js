// Light or dark: as the system says, or as chosen here, which the browser remembers.

const KEY = "ringplane-theme";
export const THEMES = ["system", "light", "dark"];

export class Theme {
  #storage;
  #root;
  #prefersDark;

  constructor({ storage, root, prefersDark, onChange = () => {} }) {
    this.#storage = storage;
    this.#root = root;
    this.#prefersDark = prefersDark;
    this.onChange = onChange;
    prefersDark.addEventListener("change", () => this.#show());
    this.#show();
  }

  get chosen() {
    const kept = this.#storage.getItem(KEY);
    return THEMES.includes(kept) ? kept : THEMES[0];
  }

  /** "light" or "dark" */
  get shown() {
    return this.chosen === "system" ? (this.#prefersDark.matches ? "dark" : "light") : this.chosen;
  }

  next() {
    this.#storage.setItem(KEY, THEMES[(THEMES.indexOf(this.chosen) + 1) % THEMES.length]);
    this.#show();
  }

  #show() {
    this.#root.dataset.theme = this.shown;
    this.onChange();
  }
}
