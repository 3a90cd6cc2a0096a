// Charts, loaded by the pages that have one. What they show stands in the page as JSON.
import { BarChart, LineChart } from 'echarts/charts'
import { AriaComponent, BrushComponent, GridComponent, TooltipComponent } from 'echarts/components'
import * as echarts from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'

echarts.use([AriaComponent, BarChart, BrushComponent, CanvasRenderer, GridComponent, LineChart, TooltipComponent])

function begin (place, option) {
  const chart = echarts.init(place, document.documentElement.dataset.bsTheme === 'dark' ? 'dark' : null)
  chart.setOption({ backgroundColor: 'transparent', ...option })
  new ResizeObserver(() => chart.resize()).observe(place)
  return chart
}

// Bars over time. Whoever drags over some is led to the search of just that time.
export function histogram (place) {
  if (echarts.getInstanceByDom(place)) return
  const since = Number(place.dataset.since)
  const width = Number(place.dataset.width)
  const counts = place.dataset.counts.split(',').map(Number)
  const times = counts.map((_, at) => (since + at * width) * 1000)
  // Days are those of UTC, which begin at another hour of the viewer's.
  const days = width % 86400 === 0
  const style = days ? { dateStyle: 'short', timeZone: 'UTC' } : { dateStyle: 'short', timeStyle: 'short' }
  const format = new Intl.DateTimeFormat(document.documentElement.lang, style)
  const labels = times.map((each) => format.format(new Date(each)) + (days ? ' UTC' : ''))
  place.ariaLabel = `${place.ariaLabel} ${labels[0]} – ${labels.at(-1)}`
  const chart = begin(place, {
    grid: { left: 8, right: 8, top: 8, bottom: 4, containLabel: true },
    tooltip: { trigger: 'axis', renderMode: 'richText' },
    brush: { xAxisIndex: 0, brushType: 'lineX', brushMode: 'single' },
    // The labels of both ends stay within the chart.
    xAxis: { type: 'category', axisLabel: { alignMinLabel: 'left', alignMaxLabel: 'right', hideOverlap: true, showMinLabel: true, showMaxLabel: true }, data: labels },
    yAxis: { type: 'value', minInterval: 1, splitNumber: 2 },
    series: [{ type: 'bar', data: counts, barCategoryGap: '15%' }],
  })
  chart.dispatchAction({ type: 'takeGlobalCursor', key: 'brush', brushOption: { brushType: 'lineX', brushMode: 'single' } })
  chart.on('brushEnd', ({ areas: [area] }) => {
    if (!area) return
    const [first, last] = area.coordRange
    const at = (index) => new Date((since + index * width) * 1000).toISOString()
    const address = new URL(place.dataset.address, location.origin)
    address.searchParams.set('since', at(Math.max(first, 0)))
    address.searchParams.set('until', at(Math.min(last, counts.length - 1) + 1))
    location.assign(address)
  })
}
