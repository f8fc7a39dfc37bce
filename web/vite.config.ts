import { type Plugin, defineConfig } from 'vite';

/** Puts scripts and styles into the page itself, so that one file works from anywhere. */
function singleFile(): Plugin {
  return {
    name: 'single-file',
    enforce: 'post',
    generateBundle(_, bundle) {
      const page = Object.values(bundle).find((file) => file.fileName.endsWith('.html'));
      if (page?.type !== 'asset') throw new Error('there is no page');
      let html = String(page.source);
      for (const file of Object.values(bundle)) {
        if (file === page) continue;
        const name = file.fileName.split('/').pop()!.replaceAll('.', '\\.');
        const content = file.type === 'chunk' ? file.code : String(file.source);
        const [tag, inline] =
          file.type === 'chunk'
            ? [`<script [^>]*${name}"[^>]*></script>`, `<script type="module">${content.replaceAll('</script', '<\\/script')}</script>`]
            : [`<link [^>]*${name}"[^>]*>`, `<style>${content}</style>`];
        const before = html;
        html = html.replace(new RegExp(tag), () => inline);
        if (html === before) throw new Error(`${file.fileName} has no place in the page`);
        delete bundle[file.fileName];
      }
      page.source = html;
    },
  };
}

export default defineConfig({
  base: './',
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: false },
  worker: { format: 'iife' },
  plugins: [singleFile()],
});
